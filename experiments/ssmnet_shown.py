"""The net of `ssmnet_small.py` goes on learning on four pairs that it has never seen, without their
truth, and is judged on these very pairs (`shown`) and on others that it never learns from.

    fathom train experiments/ssmnet_small.py
    fathom train experiments/ssmnet_shown.py

Its scores at step 0 are those before.
"""

from dataclasses import replace
from functools import partial

from ssmnet_small import EXPERIMENT as SMALL
from ssmnet_small import OTHER, SHOWN, scenes

EXPERIMENT = replace(
    SMALL,
    start="runs/ssmnet_small/weights.safetensors",
    data=partial(scenes, 8, 4),
    validation=(SHOWN, OTHER),
    steps=200,
    learning_rate=5e-4,
    warmup=10,
    validate_every=100,
)
