"""Is the truth of a sample the truth of its images? Scale, sign, side and place, by warping.

The right image, read at x - d, must look like the left one. Each usual mistake is undone in turn
(values times 256, views exchanged, rows upside down, ...); if a pixel's surroundings then agree
much better than with the truth as it is, that mistake was made. Surroundings are compared after
their own mean and contrast are taken off, so exposure does not matter.
"""

from dataclasses import dataclass, field

import numpy as np

from fathom.core.arrays import Array, Bool, Float32
from fathom.core.sample import MonoSample, StereoSample

SCALES = (256, 128, 100, 32, 16, 10, 1000, 2, 3)
"""Factors between the encodings of the field (formats differ by these), and between sizes."""
_OFFSETS = (1, 2, 3, 4)
_SHIFTS = (1, 2, 3, 4, 5, 6)
_MOVES = (*_SHIFTS, *(-n for n in _SHIFTS))
_BEYOND = 2
_REACH = 4  # pixels around such an edge
_STEP = 1.5  # pixels of disparity that make an edge of the truth
_WINDOW = 9  # pixels
_TEXTURE = 3.0  # grey levels of local deviation below which a pixel says nothing
_MOST, _MOST_EDGES = 4_000, 12_000  # pixels looked at
_LEAST = 150  # below which nothing is said
_BETTER, _BY = 0.75, 0.1  # an alternative must cost less than this share, and by this much
_EDGE_BY, _EDGE_SHARE = 0.025, 0.05  # the same for the place of the truth's edges
_RANDOM = 0.9  # costs from here are those of views that have nothing to do with each other
_NEAR, _FAR = 0.02, 1000.0  # metres between which the median depth of a scene lies

_SHIFT_REMEDY = "crop or pad truth and image alike; look for a half-pixel or a border"
_SURE = 4.0  # standard errors by which a data set's mean gain must differ from 0
_FEW = 6  # samples below which a data set is not judged as a whole
_GAIN_ALL, _GAIN_EDGES = 0.03, 0.004  # mean gains that matter

_SKY = "sky"
_UNLIKE = (_SKY, "reflective", "transparent")
"""Masks of what is not compared: the sky has no disparity, and mirrors and glass show other things
than their own truth."""

Move = tuple[int, int]
Alternative = tuple[str, str, str, Array]


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a sample.

    sample: its name. code: a short fixed name. message: what was seen. remedy: what to do.
    """

    sample: str
    code: str
    message: str
    remedy: str

    def as_dict(self) -> dict[str, str]:
        """Plain values for JSON."""
        return {
            "sample": self.sample,
            "code": self.code,
            "message": self.message,
            "remedy": self.remedy,
        }


Gains = dict[tuple[str, str, str], float]
"""(code, message, remedy) -> by how much the views agree better with that mistake undone."""


@dataclass(frozen=True)
class Verdict:
    """What is wrong with a sample, and what each mistake undone would gain (for `Judge`)."""

    problems: tuple[Problem, ...] = ()
    gains: Gains = field(default_factory=dict)


def judge(sample: StereoSample | MonoSample) -> Verdict:
    """What is wrong with the truth and the masks of a sample; no problem if nothing was found, or
    nothing can be said (no truth, no texture).

    Codes: `no-truth` (all unknown), `empty-mask`, `constant-truth`, `identical`, `depth-unit`;
    and of stereo samples by warping: `scale`, `offset`, `sign`, `swapped`, `other-view`,
    `flipped`, `shifted`, `mismatch` (the truth explains the images no better than chance).
    """
    found = _plain(sample)
    serious = any(problem.code != "depth-unit" for problem in found)
    if isinstance(sample, MonoSample) or sample.truth is None or serious:
        return Verdict(tuple(found))
    problems, gains = _by_warping(sample)
    if any(problem.code == "scale" for problem in problems):
        found = []  # a wrong depth follows from it
    return Verdict((*found, *problems), gains)


class Judge:
    """Adds up the verdicts of a data set: a mistake too small to be seen in one sample is seen in
    many. Holds a few numbers a mistake, whatever the number of samples."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str, str, str], tuple[int, float, float]] = {}

    def add(self, verdict: Verdict) -> None:
        """Take a sample's gains into account."""
        for key, gain in verdict.gains.items():
            count, total, squares = self._sums.get(key, (0, 0.0, 0.0))
            self._sums[key] = count + 1, total + gain, squares + gain * gain

    def problems(self) -> list[Problem]:
        """What is wrong with the data set as a whole: at most the mistake that gains most.

        A gain counts if its mean over at least 6 samples lies 4 standard errors above 0.
        """
        best: tuple[float, Problem] | None = None
        for (code, message, remedy), (count, total, squares) in self._sums.items():
            mean = total / count
            spread = max(squares / count - mean * mean, 0.0)
            error = (spread / max(count - 1, 1)) ** 0.5
            least = _GAIN_EDGES if code == "shifted" else _GAIN_ALL
            if count < _FEW or mean < least or mean < _SURE * error:
                continue
            if best is None or mean > best[0]:
                text = f"{message} in {count} samples on average (by {mean:.3f} of chance)"
                best = mean, Problem("", code, text, remedy)
        return [] if best is None else [best[1]]


def _plain(sample: StereoSample | MonoSample) -> list[Problem]:
    found = []

    def add(code: str, message: str, remedy: str) -> None:
        found.append(Problem(sample.name, code, message, remedy))

    for name in ("nonocc", "valid"):
        if name in sample.masks and not sample.masks[name].any():
            add("empty-mask", f"the mask {name} is empty", "look at the file and its values")
    if isinstance(sample, StereoSample):
        pair = sample.pair
        if np.array_equal(pair.left.image, pair.right.image):
            add("identical", "left and right are the same image", "look for the right one's file")
    if sample.truth is None:
        return found
    values = sample.truth.values[sample.truth.known]
    if not values.size:
        add("no-truth", "no pixel of the truth is known", "look at the encoding of the file")
        return found
    if values.size > _LEAST and float(np.ptp(values)) == 0:
        message = f"every known value of the truth is {float(values[0]):g}"
        add("constant-truth", message, "look at the file: it is no measured scene")
    found += _unit(sample)
    return found


def _unit(sample: StereoSample | MonoSample) -> list[Problem]:
    """Whether the median depth in metres, without the sky, is one that a scene can have."""
    if sample.truth is None:
        return []
    if isinstance(sample, MonoSample):
        depth = sample.truth.values
    elif sample.pair.rig is not None:
        depth = sample.pair.rig.depth_of(sample.truth.values)
    else:
        return []
    measured = np.isfinite(depth)
    if _SKY in sample.masks:
        measured &= ~sample.masks[_SKY]
    known = depth[measured]
    if not known.size or _NEAR <= (median := float(np.median(known))) <= _FAR:
        return []
    unit = "millimetres taken for metres" if median > _FAR else "metres divided once too often"
    what = "depth" if isinstance(sample, MonoSample) else "depth by truth and rig (or its baseline)"
    return [
        Problem(
            sample.name,
            "depth-unit",
            f"the median {what} is {median:.4g} m, as with {unit}",
            "correct the scale of the truth, or the unit of the baseline",
        )
    ]


@dataclass(frozen=True)
class _Scene:
    """Both views after mean and contrast were taken off, the pixels that are looked at (flat
    indices and their columns), the truth there, and what a match by chance costs."""

    left: Float32[np.ndarray, "h w"]
    right: Float32[np.ndarray, "h w"]
    rows: Array
    columns: Array
    truth: Array
    chance: float

    def cost(self, disparity: Array, *, swapped: bool = False, sign: int = 1) -> Array:
        """Cost of each pixel, 1 = as by chance. swapped: looks from the right view into the
        left one. sign: -1 looks at x + d. NaN where `disparity` is unknown."""
        here, there = (self.right, self.left) if swapped else (self.left, self.right)
        return _cost(here, there, self.rows, self.columns, sign * disparity, self.chance)


def _cost(
    here: Array, there: Array, rows: Array, columns: Array, disparity: Array, chance: float
) -> Array:
    width = here.shape[1]
    with np.errstate(invalid="ignore", over="ignore"):
        x = columns - disparity
        inside = (x >= 0) & (x <= width - 1)
    safe = np.where(inside, x, 0).astype(np.float32)
    left = np.minimum(safe.astype(np.intp), width - 2)
    part = safe - left
    seen = there[rows, left] * (1 - part) + there[rows, left + 1] * part
    cost = np.minimum(np.abs(here[rows, columns] - seen), 1) / np.float32(chance)
    # What leaves the image matched nothing: it costs what chance costs.
    cost = np.where(inside, cost, np.float32(1))
    out: Array = np.where(np.isnan(disparity), np.float32(np.nan), cost)
    return out


def _by_warping(sample: StereoSample) -> tuple[list[Problem], Gains]:
    scene = _scene(sample)
    if scene is None:
        return [], {}
    own = scene.cost(scene.truth)
    gains: Gains = {}
    best: tuple[float, Problem] | None = None
    for code, message, remedy, cost in _alternatives(sample, scene):
        both = ~np.isnan(cost)
        if np.count_nonzero(both) < _LEAST:
            continue
        mine, other = float(own[both].mean()), float(cost[both].mean())
        gain = gains[code, message, remedy] = mine - other
        if other < _BETTER * mine and gain > _BY and (best is None or gain > best[0]):
            shown = f"{message}: views disagree by {other:.2f} of chance, as it stands {mine:.2f}"
            best = gain, Problem(sample.name, code, shown, remedy)
    if best is not None:
        return [best[1]], gains
    moves, shifted = _shifted(sample, scene)
    for (dx, dy), gain in moves.items():
        text = f"the truth's edges lie {_where(dx, dy)} those of the image"
        gains["shifted", text, _SHIFT_REMEDY] = gain
    if shifted is not None:
        return [shifted], gains
    level = float(own.mean())
    if level < _RANDOM:
        return [], gains
    message = f"warped by its truth the pair agrees no better than chance ({level:.2f} of it)"
    remedy = "look whether truth and images are of the same scene (fathom check LEFT RIGHT)"
    return [Problem(sample.name, "mismatch", message, remedy)], gains


def _scene(sample: StereoSample) -> _Scene | None:
    if sample.truth is None or sample.pair.left.size[0] < _WINDOW:
        return None
    left, textured = _flattened(sample.pair.left.gray8)
    right, _ = _flattened(sample.pair.right.gray8)
    chosen = sample.truth.known & textured
    if "nonocc" in sample.masks:
        chosen &= sample.masks["nonocc"]
    for name in _UNLIKE:
        if name in sample.masks:
            chosen &= ~sample.masks[name]
    places = np.flatnonzero(chosen)
    if places.size < _LEAST:
        return None
    # A step that shares no factor with the width visits all columns.
    places = places[:: max(1, -(-places.size // _MOST))]
    rows, columns = np.divmod(places, left.shape[1])
    values = sample.truth.values[rows, columns]
    random = np.random.default_rng(0).permutation(rows.size)
    unlike = np.minimum(np.abs(left[rows, columns] - right[rows[random], columns[random]]), 1)
    chance = float(unlike.mean())
    return None if chance <= 0 else _Scene(left, right, rows, columns, values, chance)


def _flattened(gray: Array) -> tuple[Float32[np.ndarray, "h w"], Bool[np.ndarray, "h w"]]:
    """(I - mean) / deviation over a window, and where there is texture."""
    import cv2

    image = gray.astype(np.float32)
    size = (_WINDOW, _WINDOW)
    mean = cv2.blur(image, size)
    square = cv2.sqrBoxFilter(image, cv2.CV_32F, size)
    deviation = np.sqrt(np.maximum(square - mean * mean, 0))
    return (image - mean) / (deviation + np.float32(2)), deviation > _TEXTURE


def _alternatives(sample: StereoSample, scene: _Scene) -> list[Alternative]:
    """Code, what it would mean, what to do, and the costs with that mistake undone."""
    d = scene.truth
    found: list[Alternative] = []
    for factor in SCALES:
        for value, words in ((d / factor, f"divided by {factor}"), (d * factor, f"x {factor}")):
            message = f"the truth fits when it is {words}"
            remedy = f"correct its scale{_hint(factor)}"
            found.append(("scale", message, remedy, scene.cost(value)))
    for pixels in (*_OFFSETS, *(-n for n in _OFFSETS)):
        message = f"the truth fits when {pixels:+d} px are added"
        remedy = "one image was cropped or the truth has an offset (doffs): take it off"
        found.append(("offset", message, remedy, scene.cost(d + np.float32(pixels))))
    turned = (
        ("sign", "the truth fits with the other sign", "negate it (scale -1)", False, -1),
        ("swapped", "the truth fits with the images exchanged", "exchange left and right", True, 1),
        (
            "other-view",
            "the truth is that of the right view",
            "take the left view's map",
            True,
            -1,
        ),
    )
    for code, message, remedy, swapped, sign in turned:
        found.append((code, message, remedy, scene.cost(d, swapped=swapped, sign=sign)))
    if sample.truth is not None:
        values = sample.truth.values
        for name, flipped in (("upside down", values[::-1]), ("mirrored", values[:, ::-1])):
            remedy = "turn it (PFM keeps its rows from bottom to top)"
            cost = scene.cost(flipped[scene.rows, scene.columns])
            found.append(("flipped", f"the truth lies {name}", remedy, cost))
    return found


def _hint(factor: int) -> str:
    hints = {
        256: " (KITTI keeps 256 a pixel)",
        128: " (DrivingStereo's full size keeps 128 a pixel)",
        100: " (InStereo2K keeps 100 a pixel; centimetres)",
        32: " (CREStereo keeps 32 a pixel)",
        16: " (OpenCV's matchers keep 16 a pixel)",
        1000: " (millimetres for metres)",
        2: " (truth of images of another size)",
        3: " (truth of images of another size)",
    }
    return hints.get(factor, "")


def _shifted(sample: StereoSample, scene: _Scene) -> tuple[dict[Move, float], Problem | None]:
    """Whether the truth's edges lie beside those of the scene: gains of each move, and a problem
    where a single sample is enough to tell.

    Near edges a moved map says something else than the map in its place, and costs more unless
    the truth was moved. Gains of one sample are small, so those of a data set are added up.
    """
    costs = _moved_costs(sample, scene)
    gains = {move: costs[0, 0] - cost for move, cost in costs.items() if move != (0, 0)}
    if not gains:
        return {}, None
    best = max(gains, key=lambda move: gains[move])
    gain = gains[best]
    dx, dy = best
    if max(abs(dx), abs(dy)) + _BEYOND > _SHIFTS[-1]:
        return gains, None
    beyond = gains[dx + _BEYOND * _sign(dx), dy + _BEYOND * _sign(dy)]
    clear = gain > _EDGE_BY and gain > _EDGE_SHARE * costs[0, 0]
    # The opposite move must be worse, and a longer one again: a map that is merely rough gains by
    # any move.
    sharp = gains[-dx, -dy] < -gain / 2 and gain - beyond > gain / 2
    if not (clear and sharp):
        return gains, None
    message = f"the truth's edges lie {_where(dx, dy)} those of the image ({gain:.2f} of chance)"
    return gains, Problem(sample.name, "shifted", message, _SHIFT_REMEDY)


def _moved_costs(sample: StereoSample, scene: _Scene) -> dict[Move, float]:
    """Mean cost near the truth's edges with the truth in its place and moved; empty if there are
    too few such pixels."""
    if sample.truth is None:
        return {}
    values = sample.truth.values
    near = _near_edges(values, sample.truth.known)
    rows, columns = np.nonzero(near)
    if rows.size < _LEAST:
        return {}
    step = -(-rows.size // _MOST_EDGES)
    rows, columns = rows[::step], columns[::step]
    moves = [(0, 0), *((n, 0) for n in _MOVES), *((0, n) for n in _MOVES)]
    taken = {m: values[rows + m[1], columns + m[0]] for m in moves}
    known = ~np.isnan(np.sum(list(taken.values()), axis=0))
    if np.count_nonzero(known) < _LEAST:
        return {}
    rows, columns = rows[known], columns[known]
    return {
        m: float(_cost(scene.left, scene.right, rows, columns, v[known], scene.chance).mean())
        for m, v in taken.items()
    }


def _near_edges(values: Array, known: Array) -> Array:
    """True within a few pixels of a step of disparity, away from the border."""
    import cv2

    reach = _REACH
    edge = _SHIFTS[-1] + 1
    window = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    most = np.float32(1e30)
    low = cv2.erode(np.where(known, values, most), window)
    high = cv2.dilate(np.where(known, values, -most), window)
    near = known & (high - low > _STEP)
    out = np.zeros_like(near)
    inner = (slice(edge, -edge), slice(edge, -edge))
    out[inner] = near[inner]
    return out


def _sign(value: int) -> int:
    return (value > 0) - (value < 0)


def _where(dx: int, dy: int) -> str:
    if dx:
        return f"{abs(dx)} px {'right' if dx > 0 else 'left'} of"
    return f"{abs(dy)} px {'below' if dy > 0 else 'above'}"
