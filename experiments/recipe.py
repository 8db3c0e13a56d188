"""What the shipped models' experiments share: the scenes, their looks, the evidence, the real pairs
they are judged on.

Training data are procedural scenes alone. Whoever trains makes them once, into $FATHOM_SCENES
(default: ~/.cache/fathom-scenes): 8,000 looks take about 18 GB and 40 minutes of one core.

    python experiments/recipe.py --first 0 --count 8000     # beforehand, or let training do it
"""

import argparse
import os
import time
from pathlib import Path

from fathom.classical.channels import pair_channels
from fathom.classical.native import prepare_kernels
from fathom.classical.sgm import SGM
from fathom.core import StereoPair, StereoSample
from fathom.core.arrays import Array
from fathom.data import read_sample
from fathom.data.augment import AugmentSettings
from fathom.data.looks import Kept, KeptEvidence, Looks
from fathom.data.samples import motorcycle
from fathom.data.scenes import Scenes, SceneSettings
from fathom.data.scenes.render import KERNELS

HOME = Path(os.environ.get("FATHOM_SCENES", "~/.cache/fathom-scenes")).expanduser()
WIDTH, HEIGHT = 512, 256
MAX_DISPARITY = 192
LOOKS = 4
SEED = 20261121


def scenes(count: int) -> Kept:
    """`count` looks, four of each scene, 512x256, made when they are first asked for."""
    settings = SceneSettings(width=640, height=352)
    augmentation = AugmentSettings(width=WIDTH, height=HEIGHT, hide=0.25, most_patch=140)
    looks = Looks(Scenes(settings, SEED, -(-count // LOOKS)), augmentation, LOOKS)
    return Kept(looks, HOME / "looks-1")


def _channels(pair: StereoPair) -> Array:
    return pair_channels(pair, SGM(max_disparity=min(MAX_DISPARITY, pair.size[0] - 1), threads=1))


EVIDENCE = KeptEvidence(_channels, HOME / "evidence-2", "sgm 192, 6 channels")


def real() -> list[StereoSample]:
    """Motorcycle and every pair with truth below $FATHOM_SHARED: judged on, never trained on."""
    shared = Path(os.environ.get("FATHOM_SHARED", "../shared")) / "data" / "pairs_gt"
    folders = sorted(p.parent for p in shared.rglob("disp_left.npy"))
    return [motorcycle(), *(read_sample(folder) for folder in folders)]


def main() -> None:
    """Makes looks and their evidence."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=8000)
    told = parser.parse_args()
    prepare_kernels(KERNELS)
    data = scenes(told.first + told.count)
    began = time.monotonic()
    for i in range(told.count):
        EVIDENCE(data[told.first + i].pair)
        if i % 200 == 199:
            print(f"{told.first + i + 1} after {time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
