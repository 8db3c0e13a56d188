"""K.txt as FoundationStereo's demo reads it: nine numbers of K, then the baseline in metres."""

import math
import re

from fathom.core.camera import StereoRig
from fathom.core.errors import InputError
from fathom.io.calibration.text import Unit, agreed_size, camera_of, length_in_metres, number

_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?|[-+]?(nan|inf(inity)?)", re.I)


def is_ktxt(text: str) -> bool:
    """True if the text holds at least nine words and every one is a number."""
    words = _words(text)
    return len(words) >= 9 and all(_NUMBER.fullmatch(w) for w in words)


def parse_ktxt(
    text: str, image_size: tuple[int, int] | None = None, unit: Unit | None = None
) -> StereoRig:
    """The rectified rig of equal cameras (doffs 0). The format has no image size: give it.

    K may stand on one line or three. Raises `InputError` (without the file's name) for another
    count of numbers, a matrix that is no K, or a baseline that is not positive.
    """
    words = _words(text)
    if len(words) != 10:
        missing = ", the baseline in metres is missing" if len(words) == 9 else ""
        raise InputError(
            f"has {len(words)} numbers{missing}",
            field="K.txt",
            expected="nine of K row by row, then the baseline in metres",
        )
    values = [number(w, f"number {i + 1}") for i, w in enumerate(words)]
    size = agreed_size(None, image_size)
    camera = camera_of(values[:9], size, "K")
    baseline = values[9]
    if not (math.isfinite(baseline) and baseline > 0):
        raise InputError(
            "is not a positive number", field="baseline", value=words[9], expected="metres > 0"
        )
    return StereoRig(camera, camera, length_in_metres(baseline, unit, "baseline"))


def ktxt_text(rig: StereoRig) -> str:
    """The left camera's K and the baseline in metres; all that K.txt has room for."""
    numbers = [float(v) for v in rig.left.matrix.ravel()]
    return " ".join(map(repr, numbers)) + f"\n{rig.baseline!r}\n"


def _words(text: str) -> list[str]:
    lines = (line.partition("#")[0] for line in text.splitlines())
    return [w for w in re.split(r"[\s,;]+", " ".join(lines)) if w]
