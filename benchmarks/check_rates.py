"""How often the pair check sees what is wrong, and how often it sees what is not there.

    python -m benchmarks.check_rates [--every N] [--verbose] [--fix] [CASE ...]

Every real pair of FATHOM_SHARED (or ../shared), every N-th frame of its driving sequence, its
chessboard pairs (rectified with OpenCV's calibration) and the Motorcycle pair of scikit-image go
through the check as they are and after each change below. The table tells how many were reported
with the expected code; how many with the size of the change to 0.5 (px, % or degrees); "+own": how
many with the size to 0.5 px of the change and the row offset that the pair has by itself together
(the median over SIFT matches, measured here); and which other codes were reported. "zeroed" cases
take that own offset out ahead of the change, so that the change is all there is. Twenty procedural
pairs (textured rectangles before a slanted wall) go through the first cases. CASE picks changes by
the start of their names.

--fix: every real pair with ground truth is moved by 4 px, mended, and matched with sgm: bad-2 and
EPE (all pixels with truth, unknown ones filled) of the clean, the moved and the mended pair.
"time": the driving sequence with its right images up to two frames late or early.
"""

import argparse
import os
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from skimage import data

from fathom import create
from fathom.combine.check import Finding, check_pair
from fathom.combine.check_sequence import check_time, moment
from fathom.combine.check_views import Light
from fathom.combine.mend import mend_pair
from fathom.core import Camera, StereoCalibration, StereoPair, StereoRig, View
from fathom.geometry.rectify import rectify

Pair = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Case:
    """A change of a pair, what the check should then say, and the size it should name."""

    name: str
    change: Callable[[np.ndarray, np.ndarray], Pair]
    code: str | None
    size: float | None = None
    zeroed: bool = False


def warped(image: np.ndarray, dy: float = 0.0, roll: float = 0.0, scale: float = 1.0) -> np.ndarray:
    """`image` moved down by dy pixels, turned clockwise by degrees, magnified, about its middle."""
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), -roll, scale)
    matrix[1, 2] += dy
    return cv2.warpAffine(
        image, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
    )


def bent(image: np.ndarray, k: float) -> np.ndarray:
    """`image` with a barrel (k < 0) or pincushion distortion of k at the corner, off the middle."""
    height, width = image.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    u, v = x - 0.55 * width, y - 0.45 * height
    r = (u * u + v * v) / (0.25 * (width**2 + height**2))
    return cv2.remap(
        image, x + k * r * u, y + k * r * v, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
    )


def toned(image: np.ndarray, gain: float = 1.0, gamma: float = 1.0) -> np.ndarray:
    """`image` with another exposure."""
    top = np.iinfo(image.dtype).max
    values = gain * top * (image / top) ** gamma
    return np.clip(np.rint(values), 0, top).astype(image.dtype)


def recoded(image: np.ndarray, quality: int) -> np.ndarray:
    """`image` after JPEG."""
    return cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], -1)


def noisy(image: np.ndarray, sigma: float) -> np.ndarray:
    """`image` with noise of `sigma` grey levels."""
    noise = np.random.default_rng(image.shape[1]).normal(0, sigma, image.shape)
    return np.clip(np.rint(image + noise), 0, 255).astype(np.uint8)


def cases() -> list[Case]:
    """Every change; sizes in pixels for rows, percent for magnification."""
    found = [
        Case("clean", lambda a, b: (a, b), None),
        Case("clean 16 bit", lambda a, b: (a * np.uint16(200), b * np.uint16(200)), None),
        Case("clean jpeg 30", lambda a, b: (recoded(a, 30), recoded(b, 30)), None),
        Case("clean noise 8", lambda a, b: (noisy(a, 8), noisy(b[::-1], 8)[::-1]), None),
        Case("clean gain 0.8", lambda a, b: (a, toned(b, 0.8)), None),
        Case("swapped", lambda a, b: (b, a), "swapped"),
        Case("swapped 3 px off", lambda a, b: (warped(b, 3), a), "swapped"),
    ]
    for dy in (1.5, -1.5, 2.0, -2.0, 2.5, 4.0, -4.0, 10.0, -10.0):
        found.append(
            Case(f"offset {dy:+g}", lambda a, b, d=dy: (a, warped(b, d)), "unrectified", dy)
        )
    for dy in (1.5, -1.5, 2.0, -2.0, 4.0, -4.0):
        name = f"zeroed {dy:+g}"
        found.append(Case(name, lambda a, b, d=dy: (a, warped(b, d)), "unrectified", dy, True))
    for roll in (0.5, -0.5, 1.0, 2.0):
        found.append(
            Case(f"roll {roll:+g}", lambda a, b, r=roll: (a, warped(b, roll=r)), "roll", roll)
        )
    for percent in (1, -1, 2, 3):
        found.append(
            Case(
                f"scale {percent:+d} %",
                lambda a, b, s=1 + percent / 100: (a, warped(b, scale=s)),
                "scale",
                percent,
            )
        )
    return [
        *found,
        Case("lenses bent 0.2", lambda a, b: (bent(a, 0.2), bent(b, 0.2)), "curve"),
        Case("right bent 0.05", lambda a, b: (a, bent(b, 0.05)), "curve"),
        Case("gain 0.4", lambda a, b: (a, toned(b, 0.4)), "exposure"),
        Case("gain 2.5", lambda a, b: (a, toned(b, 2.5)), "exposure"),
        Case("gamma 2.5", lambda a, b: (toned(a, gamma=2.5), b), "exposure"),
        Case("identical", lambda a, _: (a, a.copy()), "identical"),
        Case("identical jpeg 20", lambda a, _: (a, recoded(a, 20)), "identical"),
        Case("transposed", lambda a, b: (a.swapaxes(0, 1), b.swapaxes(0, 1)), "vertical-rig"),
        Case("right mirrored", lambda a, b: (a, b[:, ::-1]), "mirrored"),
        Case("right on its head", lambda a, b: (a, b[::-1, ::-1]), "rotated"),
    ]


def real_pairs(every: int) -> Iterator[tuple[str, Pair]]:
    """Name and images of every real pair at hand."""
    left, right, _ = data.stereo_motorcycle()
    yield "motorcycle", (left, right)
    folder = shared()
    for found in sorted((folder / "data").glob("pairs*/*/*/left.png")):
        name = f"{found.parent.parent.name}/{found.parent.name}"
        yield name, (read(found), read(found.with_name("right.png")))
    video = folder / "data" / "video" / "kitti_odometry"
    for found in sorted((video / "left").glob("*.*"))[::every]:
        yield f"odometry/{found.stem}", (read(found), read(video / "right" / found.name))
    yield from chessboards(folder / "data" / "calibration" / "opencv_chessboards")


def shared() -> Path:
    """The folder of real pairs."""
    return Path(os.environ.get("FATHOM_SHARED", Path(__file__).resolve().parents[2] / "shared"))


def chessboards(folder: Path) -> Iterator[tuple[str, Pair]]:
    """The chessboard pairs, rectified with the calibration that OpenCV makes of them."""
    files = sorted(folder.glob("left[0-9]*.jpg"))
    pairs = [(read(f), read(f.with_name(f.name.replace("left", "right")))) for f in files]
    if not pairs:
        return
    rectification = rectify(calibrated_by_opencv(pairs))
    for file, pair in zip(files, pairs, strict=True):
        flat = rectification(*map(View, pair))
        yield f"chessboard/{file.stem}", (flat.left.image, flat.right.image)


def calibrated_by_opencv(pairs: list[Pair], board: tuple[int, int] = (9, 6)) -> StereoCalibration:
    """OpenCV's own calibration from the inner corners of `board`; lengths in squares."""
    points = np.zeros((board[0] * board[1], 3), np.float32)
    points[:, :2] = np.mgrid[: board[0], : board[1]].T.reshape(-1, 2)
    stop = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 30, 1e-4)
    seen: list[list[np.ndarray]] = []
    for pair in pairs:
        grays = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in pair]
        corners = [cv2.findChessboardCorners(gray, board)[1] for gray in grays]
        if all(c is not None for c in corners):
            seen.append(
                [
                    cv2.cornerSubPix(g, c, (5, 5), (-1, -1), stop)
                    for g, c in zip(grays, corners, strict=True)
                ]
            )
    size = pairs[0][0].shape[1::-1]
    left, right = ([views[i] for views in seen] for i in (0, 1))
    boards = [points] * len(seen)
    _, m1, d1, *_ = cv2.calibrateCamera(boards, left, size, None, None)
    _, m2, d2, *_ = cv2.calibrateCamera(boards, right, size, None, None)
    _, m1, d1, m2, d2, turn, shift, *_ = cv2.stereoCalibrate(
        boards, left, right, m1, d1, m2, d2, size, flags=cv2.CALIB_USE_INTRINSIC_GUESS
    )
    cameras = [
        Camera(*size, m[0, 0], m[1, 1], m[0, 2], m[1, 2], distortion=tuple(d.ravel()[:5]))
        for m, d in ((m1, d1), (m2, d2))
    ]
    return StereoCalibration(*cameras, turn, shift.ravel())


def procedural_pairs(count: int = 20) -> Iterator[tuple[str, Pair]]:
    """Rectangles of smoothed noise before a slanted wall; disparities 1 to 60 pixels."""
    for seed in range(count):
        rng = np.random.default_rng(seed)
        height, width = 300, 420
        wall = rng.uniform(1, 8) + np.linspace(0, rng.uniform(0, 10), width)[None]
        layers = [(np.broadcast_to(wall, (height, width)), np.ones((height, width), bool))]
        for nearness in np.sort(rng.uniform(12, 60, 5)):
            mask = np.zeros((height, width), bool)
            x, y = rng.integers(0, width - 60), rng.integers(0, height - 60)
            mask[y : y + rng.integers(40, 150), x : x + rng.integers(40, 150)] = True
            layers.append((np.full((height, width), nearness), mask))
        yield f"procedural/{seed}", drawn(layers, rng)


def drawn(layers: list[tuple[np.ndarray, np.ndarray]], rng: np.random.Generator) -> Pair:
    """Both views of layers (disparity, mask in a middle view), the farthest first."""
    height, width = layers[0][0].shape
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    views = [np.zeros((height, width), np.float32) for _ in range(2)]
    for disparity, mask in layers:
        noise = rng.normal(0, 1, (height, width + 200)).astype(np.float32)
        texture = 127 + 60 * cv2.GaussianBlur(noise, (0, 0), 1.2) * 3
        for view, side in zip(views, (-0.5, 0.5), strict=True):
            at = x + side * disparity.astype(np.float32)
            seen = cv2.remap(mask.astype(np.uint8), at, y, cv2.INTER_NEAREST) > 0
            if mask.all():
                seen = mask
            view[seen] = cv2.remap(texture, at + 100, y, cv2.INTER_CUBIC)[seen]
    left, right = (np.clip(v, 0, 255).astype(np.uint8)[..., None].repeat(3, 2) for v in views)
    return left, right


def own_offset(pair: Pair) -> float:
    """The median row difference of a pair's SIFT matches: how well it is rectified."""
    sift = cv2.SIFT_create(3000)
    keys, bits = zip(
        *(sift.detectAndCompute(cv2.cvtColor(v, cv2.COLOR_RGB2GRAY), None) for v in pair),
        strict=True,
    )
    both = [m for m in cv2.BFMatcher().knnMatch(bits[0], bits[1], 2) if len(m) == 2]
    rows = [
        keys[1][a.trainIdx].pt[1] - keys[0][a.queryIdx].pt[1]
        for a, b in both
        if a.distance < 0.7 * b.distance
    ]
    near = [row for row in rows if abs(row) < 5]
    return statistics.median(near) if near else 0.0


def read(file: Path) -> np.ndarray:
    """An image file as RGB."""
    return cv2.cvtColor(cv2.imread(str(file), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


@dataclass
class Named:
    """A pair, and the row offset it has before anything is changed."""

    name: str
    pair: Pair
    offset: float = 0.0


def run(case: Case, pairs: list[Named], verbose: bool) -> tuple[str, tuple[int, int, int, int]]:
    """One line of the table, and its counts: pairs, seen, within 0.5, within 0.5 with the own."""
    hits, within, within_own, worst, missed, seconds = 0, 0, 0, 0.0, [], []
    others: Counter[str] = Counter()
    for item in pairs:
        images = item.pair
        if case.zeroed:
            images = (images[0], warped(images[1], -item.offset))
        views = [View(np.ascontiguousarray(image)) for image in case.change(*images)]
        start = time.perf_counter()
        found = check_pair(*views)
        seconds.append(time.perf_counter() - start)
        expected = [f for f in found if f.code == case.code]
        hits += bool(expected) if case.code else not found
        others.update(f.code for f in found if f.code != case.code)
        error = 0.0
        if expected and case.size:
            own = item.offset if case.code == "unrectified" and not case.zeroed else 0.0
            within += abs((expected[0].size or 0) - abs(case.size)) <= 0.5
            error = abs((expected[0].size or 0) - abs(case.size + own))
            within_own += error <= 0.5
            worst = max(worst, error)
        if (not expected if case.code else found) or error > 0.5:
            missed.append((item.name, found))
    size = f"{within / len(pairs):7.1%} {within_own / len(pairs):7.1%} {worst:5.2f}"
    if verbose:
        for name, found in missed:
            print(f"    {name}: {show(found)}")
    extra = " ".join(f"{code}:{n}" for code, n in sorted(others.items()))
    line = (
        f"{case.name:18s} {case.code or 'nothing':13s} {hits / len(pairs):7.1%} "
        f"{size if case.size else '':21s} {1e3 * statistics.median(seconds):5.0f}  {extra}"
    )
    return line, (len(pairs), hits, within, within_own)


def show(found: list[Finding]) -> str:
    """Findings on one line."""
    return "; ".join(f"{f.code} {f.certainty:.2f}: {f.message}" for f in found) or "nothing"


def unrelated(pairs: list[Named]) -> list[Named]:
    """The left image of each pair with the right image of another scene, in its size."""
    out = []
    for i, item in enumerate(pairs):
        other = pairs[(i + len(pairs) // 2) % len(pairs)]
        left = item.pair[0]
        right = cv2.resize(other.pair[1], (left.shape[1], left.shape[0]))
        out.append(Named(f"{item.name} + {other.name}", (left, right)))
    return out


def calibrated(pairs: list[Named]) -> float:
    """Share of pairs whose calibration, of twice the size, is called so."""
    hits = 0
    for item in pairs:
        height, width = item.pair[0].shape[:2]
        rig = StereoRig.simple(2 * width, 2 * height, 1000, 0.1)
        found = check_pair(View(item.pair[0]), View(item.pair[1]), rig)
        hits += any(f.code == "calibration-size" and f.size == 0.5 for f in found)
    return hits / len(pairs)


def offsets(lines: dict[str, tuple[int, int, int, int]]) -> str:
    """What the cases of one kind say together: of how many pairs which share was seen, was within
    0.5 px of the change, and of the change and the pair's own offset."""
    count, seen, within, own = (sum(column) for column in zip(*lines.values(), strict=True))
    return (
        f"{count} pairs in {len(lines)} cases: seen {seen / count:.1%}, size to 0.5 px of the "
        f"change {within / count:.1%}, with the pair's own {own / count:.1%}"
    )


def truths() -> Iterator[tuple[str, Pair, np.ndarray]]:
    """Real pairs with their true disparity, NaN where it is not known."""
    left, right, truth = data.stereo_motorcycle()
    yield "motorcycle", (left, right), np.where(np.isfinite(truth), truth, np.nan)
    for found in sorted((shared() / "data" / "pairs_gt").glob("*/*/left.png")):
        truth = np.load(found.with_name("disp_left.npy"))
        images = read(found), read(found.with_name("right.png"))
        yield f"{found.parent.parent.name}/{found.parent.name}", images, truth


def fixed(dy: float) -> None:
    """The table of --fix."""
    print(f"\n{'pair':48s} bad-2 clean  moved  fixed   EPE clean  moved  fixed   ratios")
    ratios = []
    for name, images, truth in truths():
        matcher = create(
            "sgm", max_disparity=int(1.15 * np.nanpercentile(truth, 99.9)) + 8, confidence=False
        )

        def scores(left: View, right: View, matcher=matcher, truth=truth) -> tuple[float, float]:
            error = np.abs(matcher(StereoPair(left, right)).values - truth)[np.isfinite(truth)]
            return 100 * float((error > 2).mean()), float(error.mean())

        left, right = (View(np.ascontiguousarray(image)) for image in images)
        off = View(warped(images[1], dy))
        mended = mend_pair(left, off)
        clean, moved, after = (
            scores(*pair) for pair in ((left, right), (left, off), (mended.left, mended.right))
        )
        ratios.append([b / a for a, b in zip(clean, after, strict=True)])
        print(
            f"{name:48s} {clean[0]:11.2f} {moved[0]:6.2f} {after[0]:6.2f} {clean[1]:11.2f} "
            f"{moved[1]:6.2f} {after[1]:6.2f}   {ratios[-1][0]:.3f} {ratios[-1][1]:.3f}",
            flush=True,
        )
    for name, column in zip(("bad-2", "EPE"), np.array(ratios).T, strict=True):
        print(
            f"{name} of the mended pair over the clean one's, {len(column)} pairs moved by "
            f"{dy:g} px: median {np.median(column):.3f}, largest {column.max():.3f}, at most 1.2 "
            f"on {(column <= 1.2).mean():.1%}"
        )


def in_time(reach: int = 3) -> None:
    """The driving sequence with late and early right images."""
    video = shared() / "data" / "video" / "kitti_odometry"
    if not video.exists():
        return
    lights = [
        [Light.of(View(read(f))) for f in sorted((video / side).glob("*.*"))]
        for side in ("left", "right")
    ]
    size = lights[0][0].gray.shape[::-1]
    print("\nright images late by    found    certainty  (windows of 6 moments, all starts)")
    for late in (0, 1, -1, 2, -2):
        hits, sure, count = 0, [], 0
        for start in range(reach + 2, len(lights[0]) - reach - 2 - 10, 5):
            moments = [
                moment(
                    lights[0][i],
                    {k: lights[1][i + k - late] for k in range(-reach, reach + 1)},
                    size,
                )
                for i in range(start, start + 12, 2)
            ]
            finding = check_time(moments, size)
            count += 1
            hits += finding is None if late == 0 else finding is not None and finding.size == late
            sure += [] if finding is None else [finding.certainty]
        least = f"{min(sure):.2f}" if sure else "-"
        print(f"{late:+15d} frames {hits:4d}/{count:<4d} {least:>10s}", flush=True)


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--every", type=int, default=10, help="frames of the driving sequence")
    parser.add_argument("--verbose", action="store_true", help="name every miss")
    parser.add_argument("--fix", action="store_true", help="only the pairs mended and matched")
    parser.add_argument("case", nargs="*")
    options = parser.parse_args()
    if options.fix:
        fixed(4.0)
        return
    pairs = [Named(name, pair, own_offset(pair)) for name, pair in real_pairs(options.every)]
    drawn_pairs = [Named(name, pair) for name, pair in procedural_pairs()]
    wanted = tuple(options.case) or ("",)
    print(f"{len(pairs)} real pairs, {len(drawn_pairs)} procedural ones; own offset beyond 0.5 px:")
    for item in pairs:
        if abs(item.offset) > 0.5:
            print(f"    {item.name} {item.offset:+.2f} px")
    print(f"\n{'change':18s} {'expected':13s}    seen  +-0.5   +own   worst    ms  other codes")
    told: dict[str, dict[str, tuple[int, int, int, int]]] = {"offset": {}, "zeroed": {}}
    for case in cases():
        if case.name.startswith(wanted):
            line, counts = run(case, pairs, options.verbose)
            print(line, flush=True)
            if case.name.split()[0] in told:
                told[case.name.split()[0]][case.name] = counts
    if "unrelated".startswith(wanted):
        case = Case("unrelated", lambda a, b: (a, b), "unrelated")
        print(run(case, unrelated(pairs), options.verbose)[0])
    if "calibration".startswith(wanted):
        print(f"{'calibration x2':18s} {'calib.-size':13s} {calibrated(pairs):7.1%}")
    for kind, lines in told.items():
        if lines:
            print(f"{kind}: {offsets(lines)}")
    print("\nprocedural")
    for case in cases():
        if case.name in ("clean", "swapped", "offset +1.5", "transposed", "identical"):
            print(run(case, drawn_pairs, options.verbose)[0], flush=True)
    if "time".startswith(wanted):
        in_time()


if __name__ == "__main__":
    main()
