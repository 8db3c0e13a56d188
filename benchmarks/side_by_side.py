"""Spatial propagation, Bi3D and HITNet side by side on one pair: what each of them makes of it.

    python -m benchmarks.side_by_side [-o docs/images] [--zoo zoo] [--max-disparity 96]
        [--plane 40] [--train 200 [--work side_by_side]]

The pair is Motorcycle (Middlebury 2014, quarter size, as scikit-image ships it), whose truth the
numbers are from. Propagation needs no weights: semi-global matching's matched values are spread
along the image's edges (`cspn`, `spn`), beside that matcher's own filling. Bi3D's question, nearer
than a plane?, is answered for any method by its disparity and confidence, and slanted planes are
shown to fit tiles of the truth: neither needs a net. --zoo: the output folder of
`python -m benchmarks.zoo` (and its --max-disparity); nets that lie there are shown, too, as far as
its short training brought them. --train: instead of all that, narrowed nets of all three and of
PSMNet learn for so many processor seconds each and are shown beside each other
(`side_by_side_nets`). Writes a WebP picture of each, and prints the numbers.
"""

import argparse
import importlib
import io
import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from fathom.catalog import create
from fathom.combine.networks import extended
from fathom.combine.planes import NearerThan
from fathom.combine.propagate import Refiner
from fathom.core import Disparity, StereoSample
from fathom.core.arrays import Array
from fathom.data.samples import motorcycle
from fathom.eval.metrics import bad, end_point_error
from fathom.io.atomic import write_bytes
from fathom.layers.plane_answers import CELL
from fathom.layers.resample import to_size
from fathom.layers.tiles import expanded, repeated
from fathom.nets.adapter import load_net
from fathom.train.record import WEIGHTS
from fathom.viz.color import Scale, disparity_scale
from fathom.viz.figure import filled
from fathom.viz.grid import Panel, grid

SIDES = (4, 16)
"""Sides of the tiles that planes are fitted to, in pixels."""
QUALITY = 80
Rows = list[tuple[str, str]]


def propagation(sample: StereoSample) -> tuple[list[Panel], Rows]:
    """Matched values spread by cspn and spn, beside the matcher's own filling."""
    pair, truth = sample.pair, sample.truth
    bare = create("sgm", fill=False)(pair)
    found = {"sgm, unfilled": bare, "sgm, its own filling": create("sgm")(pair)}
    for method in ("spn", "cspn"):
        refine = Refiner(method=method)
        found[f"sgm, unfilled, then {method}"] = refine(pair.left, bare)
    scale = disparity_scale(truth.values)
    panels = [
        _map(name, one.values, scale, name == list(found)[-1], filled(one))
        for name, one in found.items()
    ]
    rows = []
    for name, one in found.items():
        known = float(one.known[truth.known].mean())
        rows.append((name, f"{_score(one, truth)}, {known:.1%} known"))
    return panels, rows


def nearer(sample: StereoSample, plane: float, net: Any, steps: int) -> tuple[list[Panel], Rows]:
    """P(nearer than a plane): the truth, semi-global matching's, and a net's of the zoo."""
    truth = sample.truth.values
    wanted = np.where(np.isnan(truth), np.nan, truth > plane).astype(np.float32)
    given = {
        "semi-global matching": NearerThan(matcher=create("sgm"), disparity=plane)(sample.pair)
    }
    answers = {name: found.probability for name, found in given.items()}
    if net is not None:
        answers[f"bi3d-2d after {steps} steps"] = _answered(net, sample, plane)
    scale = Scale(0, 1, "viridis")
    panels = [
        Panel("left image", sample.pair.left.rgb8),
        _map(f"nearer than {plane:g} px: the truth", wanted, scale),
    ]
    rows = []
    known = ~np.isnan(wanted)
    for name, chance in answers.items():
        panels.append(_map(f"P(nearer), {name}", chance, scale, name == list(answers)[-1]))
        with np.errstate(invalid="ignore"):
            right = ((chance >= 0.5) == (wanted == 1)) & ~np.isnan(chance)
        rows.append((f"nearer than {plane:g} px, {name}", f"{right[known].mean():.1%} right"))
    always = max(float((wanted[known] == value).mean()) for value in (0, 1))
    rows.append((f"nearer than {plane:g} px, always the same answer", f"{always:.1%} right"))
    return panels, rows


def tiles(sample: StereoSample, net: Any, steps: int) -> tuple[list[Panel], Rows]:
    """Flat and slanted planes in tiles of the truth, and the tiles of a net of the zoo."""
    truth = sample.truth
    scale, panels, rows = disparity_scale(truth.values), [], []
    for side in SIDES:
        for slanted in (False, True):
            one = fitted(truth.values, side, slanted)
            name = f"{'slanted' if slanted else 'flat'} tiles of {side} px"
            off = np.abs(one - truth.values)
            off = off[~np.isnan(off)]
            rows.append(
                (f"truth as {name}", f"{np.median(off):.3f} px median, {off.mean():.2f} mean")
            )
            if side == SIDES[-1]:
                panels.append(_map(f"truth as {name}", one, scale, slanted and net is None))
    if net is not None:
        for name, values in _tiles_of(net, sample).items():
            panels.append(_map(f"hitnet after {steps} steps: {name}", values, scale, name == "end"))
            rows.append((f"hitnet after {steps} steps, {name}", _score(Disparity(values), truth)))
    return panels, rows


def fitted(values: Array, side: int, slanted: bool) -> Array:
    """The map (h, w) with a plane of least squares in each tile of side x side pixels, flat or
    slanted; unknown where less than half of a tile is known, and beyond the last whole tile."""
    rows, columns = (n // side for n in values.shape)
    whole = values[: rows * side, : columns * side].reshape(rows, side, columns, side)
    d = whole.transpose(0, 2, 1, 3).reshape(rows, columns, side * side).astype(np.float64)
    at = np.arange(side) - (side - 1) / 2
    terms = [np.ones((side, side)), np.tile(at, (side, 1)), np.tile(at[:, None], (1, side))]
    a = np.stack(terms[: 3 if slanted else 1], axis=-1).reshape(side * side, -1)
    known = ~np.isnan(d)
    normal = np.einsum("rcn,ni,nj->rcij", known, a, a) + 1e-9 * np.eye(a.shape[1])
    right = np.einsum("rcn,ni->rci", np.where(known, d, 0), a)
    plane = np.linalg.solve(normal, right[..., None])[..., 0]
    found = np.einsum("rci,ni->rcn", plane, a)
    found[known.mean(axis=-1) < 0.5] = np.nan
    out = np.full(values.shape, np.nan, np.float32)
    back = found.reshape(rows, columns, side, side).transpose(0, 2, 1, 3)
    out[: rows * side, : columns * side] = back.reshape(rows * side, columns * side)
    return out


def trained(zoo: Path | None, name: str, levels: int) -> tuple[Any, int]:
    """A net of the zoo with its frame, or None, and how many steps it was trained."""
    if zoo is None or not (file := zoo / name / "run" / WEIGHTS).is_file():
        return None, 0
    module = {"bi3d-2d": "bi3d"}.get(name, name)
    home = importlib.import_module(f"fathom.nets.stereo.{module}")
    frame = home.FRAMES[name]
    own = {} if frame.step is None else {"max_disparity": frame.searched(levels)}
    net = load_net(getattr(home, frame.builder)(**own), file, torch.device("cpu"))
    return (net, frame), json.loads((zoo / name / "plan.json").read_text())["steps"]


def _given(frame: Any, sample: StereoSample) -> tuple[Any, Any, tuple[slice, slice]]:
    """Both views in a size that the net takes, and where the image lies in it."""
    shape = sample.pair.shape
    size = frame.size(*shape)
    top, left = frame.corner(shape, size)
    views = (extended(v.rgb8, size, frame) for v in (sample.pair.left, sample.pair.right))
    first, second = (torch.from_numpy(v.transpose(2, 0, 1).copy())[None] for v in views)
    return first, second, (slice(top, top + shape[0]), slice(left, left + shape[1]))


def _answered(net_and_frame: Any, sample: StereoSample, plane: float) -> Array:
    """P(nearer) of a Bi3D net, of its plane next to the one asked for."""
    net, frame = net_and_frame
    left, right, inner = _given(frame, sample)
    index = int(np.argmin([abs(CELL * p - plane) for p in net.config.planes]))
    with torch.inference_mode():
        logits = net.answered(left, right)[-1][:, index : index + 1]
        chance = to_size(logits, (left.shape[-2], left.shape[-1])).sigmoid()
    return np.ascontiguousarray(chance[0, 0].numpy()[inner])


def _tiles_of(net_and_frame: Any, sample: StereoSample) -> dict[str, Array]:
    """HITNet's disparities at its start, in the tiles that were moved, and at its end."""
    net, frame = net_and_frame
    left, right, inner = _given(frame, sample)
    with torch.inference_mode():
        trace = net.train()(left, right).inner  # in training it tells its steps
    net.eval()
    costs, scale = trace.costs[-1]
    first = trace.tiles[len(trace.tiles) - 4]
    found = {
        "start": repeated(costs.argmin(dim=1, keepdim=True).float() * scale, 4 * scale),
        "moved tiles": expanded(first.planes, first.side * first.scale, 1 / first.scale),
        "end": trace.tiles[-1].planes[:, :1],
    }
    return {name: np.ascontiguousarray(t[0, 0].numpy()[inner]) for name, t in found.items()}


def _map(
    label: str, values: Array, scale: Scale, bar: bool = False, pale: Array | None = None
) -> Panel:
    return Panel(label, values=values, scale=scale, bar=bar, pale=pale)


def _score(found: Disparity, truth: Disparity) -> str:
    wrong = bad(found, truth, 2.0)
    return (
        f"{wrong:.1%} off by more than 2 px or unknown, EPE {end_point_error(found, truth):.2f} px"
    )


def write(path: Path, panels: list[Panel], columns: int) -> None:
    """The panels as a WebP picture."""
    data = io.BytesIO()
    Image.fromarray(grid(panels, columns)).save(data, "WEBP", quality=QUALITY, method=6)
    write_bytes(path, data.getvalue())
    print(f"wrote {path}, {len(data.getvalue()) / 1000:.0f} kB")


def main() -> None:
    """Writes the pictures and prints the numbers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/images"))
    parser.add_argument("--zoo", type=Path, help="the output folder of benchmarks.zoo")
    parser.add_argument("--max-disparity", type=int, default=96, help="as the zoo was told")
    parser.add_argument("--plane", type=float, default=40.0, help="disparity of the plane (px)")
    parser.add_argument("--train", type=float, metavar="SECONDS", help="of each narrowed net")
    parser.add_argument("--work", type=Path, default=Path("side_by_side"), help="of --train")
    told = parser.parse_args()
    if told.train:
        nets = importlib.import_module("benchmarks.side_by_side_nets")
        panels, lines = nets.compared(told.work, told.train, partial(print, flush=True))
        write(told.output / "trained.webp", panels, len(panels) // 4)
        print("\n".join(lines))
        return
    sample = motorcycle()
    parts = {
        "propagation": propagation(sample),
        "nearer": nearer(sample, told.plane, *trained(told.zoo, "bi3d-2d", told.max_disparity)),
        "tiles": tiles(sample, *trained(told.zoo, "hitnet", told.max_disparity)),
    }
    for name, (panels, _) in parts.items():
        write(told.output / f"{name}.webp", panels, 3 if len(panels) > 4 else len(panels))
    for _, rows in parts.values():
        print("\n| what | on Motorcycle |\n|---|---|")
        print("\n".join(f"| {name} | {number} |" for name, number in rows))


if __name__ == "__main__":
    main()
