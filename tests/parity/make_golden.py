"""Makes the golden files of the parity tests from the full references.

    python tests/parity/make_golden.py CASE... [--references FOLDER]

FOLDER (default $FATHOM_SHARED/parity, else shared/parity beside the project) holds `CASE.npz` and
`CASE.keys.json`, which the official code made. A golden file keeps 16x16 of each output and of
each layer that was recorded, their shape, mean, std and sum of |x|, and the list of tensors.
`cspn_module`, which has inputs and no tensors, gives `cspn_module_part`: a corner of them.
"""

import argparse
import json
import os
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
LIMIT = 40_000  # bytes of a file that is kept in the repository


def made(references: Path, name: str) -> Path:
    """Writes the golden file of a case."""
    record = json.loads((references / f"{name}.keys.json").read_text())
    arrays, meta = {}, {"out": {}, "mid": {}}
    with np.load(references / f"{name}.npz") as file:
        for key in file.files:
            part, _, what = key.partition("/")
            if part == "out":
                shape = record["outputs"][what]["shape"]
                arrays[key] = file[f"out_sample/{what}"]
            elif part == "mid":
                shape = file[f"mid_shape/{what}"].tolist()
                arrays[key] = file[key]
            else:
                continue
            meta[part][what] = [shape, file[f"{part}_stats/{what}"].tolist()]
    for name_of in ("gain", "config", "input", "params"):
        meta[name_of] = record[name_of]
    meta["iterations"] = record.get("iters")
    rows = sorted(record["keys"], key=lambda row: row["index"])
    meta["keys"] = [[r[k] for k in ("key", "shape", "dtype", "kind", "alias_of")] for r in rows]
    text = json.dumps(meta, separators=(",", ":")).encode()
    target = HERE / "golden" / f"{name}.npz"
    np.savez_compressed(target, meta=np.frombuffer(text, np.uint8), **arrays)
    if target.stat().st_size > LIMIT:
        raise SystemExit(f"{target}: {target.stat().st_size} bytes; expected at most {LIMIT}")
    return target


def corner(references: Path, steps: int = 24, side: int = 6) -> Path:
    """Writes the upper left corner of the outputs of CSPN's module, and of its inputs as much as
    reaches it in so many steps."""
    arrays = {}
    with np.load(references / "cspn_module.npz") as file:
        for key in file.files:
            n = side if key.startswith("out/") else side + steps
            arrays[key] = file[key][..., :n, :n]
    target = HERE / "golden" / "cspn_module_part.npz"
    np.savez_compressed(target, **arrays)
    return target


def main() -> None:
    """Command line."""
    shared = os.environ.get("FATHOM_SHARED") or HERE.parents[2] / "shared"
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="+", metavar="CASE")
    parser.add_argument("--references", type=Path, default=Path(shared) / "parity")
    given = parser.parse_args()
    for name in given.cases:
        whole = name != "cspn_module"
        target = made(given.references, name) if whole else corner(given.references)
        print(f"{target.name}: {target.stat().st_size} bytes")


if __name__ == "__main__":
    main()
