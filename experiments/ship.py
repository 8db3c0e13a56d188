r"""Puts trained weights into the package, where the named model ships.

    PYTHONPATH=. python experiments/ship.py NAME runs/RUN/weights.safetensors --hours 1.2 \
        --looks 11.3 1.32

The weights (a checkpoint's averaged ones, where it has some) and the exported models, in floating
point and in 8 bits, are written with their licence and a card: hashes, the experiment, the hours,
and scores on the real pairs by the rules of `benchmarks.shipped`, made by the estimator as users
get it, with the weights and in 8 bits. Without shared pairs the scores are Motorcycle's alone, and
the card says so.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.accuracy import pairs
from benchmarks.shipped import COLUMNS, numbers
from recipe import SHARED

from fathom import weights as record
from fathom.combine.learned import Learned
from fathom.export import export_model
from fathom.io.atomic import write_bytes
from fathom.layers.state import load_state
from fathom.nets.shipped import BUILDERS
from fathom.train.checkpoint import read_weights, save_weights

LICENCE = "Apache-2.0"


def scores(name: str, weights: Path) -> dict[str, Any]:
    """The means of the estimator's scores, by column."""
    matcher = Learned(model=name, weights=str(weights))
    rows, groups = [], set()
    for group, _, pair, truth, both in pairs(SHARED / "data" / "pairs_gt"):
        groups.add(group)
        rows.append(numbers(matcher(pair).values, truth, both))
    mean = np.mean(rows, axis=0)
    told = {c: round(float(v), 3) for c, v in zip(COLUMNS, mean, strict=True)}
    return {"pairs": f"{len(rows)}: {', '.join(sorted(groups))}", **told}


def main() -> None:
    """Writes the model's folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=sorted(BUILDERS))
    parser.add_argument("weights", type=Path)
    parser.add_argument("--hours", type=float, required=True, help="of training, all stages")
    parser.add_argument(
        "--looks", type=float, nargs=2, metavar=("BAD-2", "EPE"),
        help="on held-out scenes, as the run's end prints them",
    )  # fmt: skip
    parser.add_argument("--experiment", help="default: experiments/NAME.py")
    parser.add_argument("--into", type=Path, help="default: where the package looks for it")
    told = parser.parse_args()
    folder = told.into or record.HOME / told.name
    folder.mkdir(parents=True, exist_ok=True)
    experiment = told.experiment or f"experiments/{told.name.replace('-', '_')}.py"
    tensors = read_weights(told.weights)
    net = BUILDERS[told.name]()
    load_state(net, tensors, told.weights)
    about = {"licence": LICENCE, "trained_on": "procedural scenes of fathom"}
    save_weights(
        folder / record.WEIGHTS, tensors,
        {"model": told.name, "experiment": experiment, **about},
    )  # fmt: skip
    export_model(net.eval(), folder / record.MODEL, model=told.name, about=about)
    export_model(
        net, folder / record.MODEL_INT8, "openvino", int8=True, model=told.name, about=about
    )
    text = (record.HOME / "fathom-s" / record.LICENCE).read_bytes()
    write_bytes(folder / record.LICENCE, text.replace(b"fathom-s", told.name.encode()))
    scored = scores(told.name, folder / record.WEIGHTS)
    scored["8 bits"] = scores(told.name, folder / record.MODEL_INT8)
    if told.looks:
        scored["held-out looks"] = dict(zip(("bad-2", "EPE"), told.looks, strict=True))
    card = record.make_card(
        folder, told.name, LICENCE, divisor=net.config.divisor,
        max_disparity=net.config.max_disparity, experiment=experiment, hours=told.hours,
        scores=scored,
    )  # fmt: skip
    write_bytes(folder / record.CARD, (json.dumps(card, indent=2) + "\n").encode())
    print(json.dumps(card, indent=2))


if __name__ == "__main__":
    main()
