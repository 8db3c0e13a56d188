"""All rows of the small experiments with one image: what experiments/README.md shows.

    python experiments/mono_table.py [ROW ...]

Each is one run of the training loop below $FATHOM_SCENES/mono-runs, where `rows.jsonl` keeps what
it ended with; rows that are there are not run again. Named rows are run alone, in that order.
"""

import json
import sys
import time
from typing import Any

import depth_anything_v1
import depth_anything_v2
import midas_mixed
import numpy as np
import torch
import zoedepth_two_stages
from mono_small import HELD_OUT, JUDGE, LABELLED, RUNS, run_folder

from fathom.core import RelativeDepth
from fathom.eval.scoring import score
from fathom.eval.tally import Tally
from fathom.train import train

ROWS = {
    **depth_anything_v1.ROWS,
    **depth_anything_v2.ROWS,
    **depth_anything_v1.ALIGNED,
    **midas_mixed.ROWS,
    **zoedepth_two_stages.ROWS,
}
"""Name of a run -> what it is, and the experiment; teachers first."""


def main() -> None:
    """Runs what was not run yet, in order, and prints each row."""
    torch.set_num_threads(1)
    results = RUNS / "rows.jsonl"
    results.parent.mkdir(parents=True, exist_ok=True)
    lines = results.read_text().splitlines() if results.exists() else []
    known = {json.loads(line)["run"] for line in lines}
    for name in [row for row in sys.argv[1:] or ROWS if row not in known]:
        told, experiment = ROWS[name]
        experiment.data()[0]  # what it is taught is rendered and guessed before the clock starts
        began = time.process_time()
        ended = train(experiment, run_folder(name), device="cpu")
        if ended.stopped != "finished":
            print(f"{name}: {ended.stopped}; remove {ended.folder} to run it again")
            return
        minutes = round((time.process_time() - began) / 60, 2)
        row = {"run": name, "told": told, "minutes": minutes, **ended.scores["held out"]}
        with results.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(json.dumps(row), flush=True)
    rows = [json.loads(line) for line in results.read_text().splitlines()]
    print(shown([one_map_for_all(), *rows]))


def one_map_for_all() -> dict[str, Any]:
    """The row of what needs no learning: the mean of the labelled views' inverse depths, each
    centred by its median and scaled by its mean distance from it, as the answer to every view."""
    maps = []
    for sample in LABELLED:
        inverse = 1 / sample.truth.values
        away = inverse - np.median(inverse)
        maps.append(away / np.abs(away).mean())
    answer = RelativeDepth(np.mean(maps, axis=0), "affine_inverse")
    tally = Tally(JUDGE.rules())
    for sample in HELD_OUT:
        tally.add(score(answer, sample, JUDGE.rules()))
    told = "one map for all: the mean inverse depth of the 128 labelled views"
    return {"run": "mean-map", "told": told, "minutes": 0.0, **tally.totals().published}


def shown(rows: list[dict[str, Any]]) -> str:
    """The rows as the Markdown table of experiments/README.md."""
    head = (
        "| run | what it is | AbsRel | delta-1 | edges' F1 | minutes |\n|---|---|---|---|---|---|"
    )
    cells = (
        f"| `{r['run']}` | {r['told']} | {r['abs-rel']:.3f} | {100 * r['delta-1']:.1f} % "
        f"| {100 * r['boundary-f1']:.1f} % | {r['minutes']:.1f} |"
        for r in rows
    )
    return "\n".join((head, *cells))


if __name__ == "__main__":
    main()
