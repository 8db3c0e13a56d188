"""Which camera took a single image: given, calibrated, said by the photo, or judged by the model.

A cloud, a known size and the ground need it; the first source there is in this order wins, and
result.json names it.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fathom.core.camera import Camera, StereoCalibration, StereoRig
from fathom.core.errors import FathomError, UsageError
from fathom.core.options import option
from fathom.core.pair import View
from fathom.io.photo import PhotoTags
from fathom.workflows.pairs import Unit

NO_CAMERA = "give --fov DEGREES, --focal PX or --calib FILE"


@dataclass(frozen=True)
class CameraOptions:
    """Where the intrinsics of the images come from, unless they lie beside them.

    Raises `UsageError` for more than one source, or values that cannot be.
    """

    calib: Path | str | None = option(
        None,
        "calibration file with the camera (any format; of a rig the left one); default: one beside "
        "the image, else the photo's EXIF tags, else the model's own estimate",
        flags=("--calibration", "--intrinsics", "--intrinsic_file"),
        metavar="FILE",
    )
    focal: float | None = option(None, "focal length in pixels of the image", metavar="PX")
    fov: float | None = option(
        None, "angle of view over the image's width, in degrees", flags=("--hfov",),
        metavar="DEGREES",
    )  # fmt: skip
    unit: Unit | None = option(
        None, "unit of lengths in calibration formats that state none (default m)",
        flags=("--calib-unit",),
    )  # fmt: skip

    def __post_init__(self) -> None:
        given = [n for n in ("calib", "focal", "fov") if getattr(self, n) is not None]
        if len(given) > 1:
            raise UsageError(
                "say the same thing", field=" and ".join(given), expected="one of them"
            )
        if self.focal is not None and not 0 < self.focal < math.inf:
            raise UsageError(
                "is no focal length", field="focal", value=self.focal, expected="pixels > 0"
            )
        if self.fov is not None and not 0 < self.fov < 180:
            raise UsageError(
                "is no angle of view of a plain camera", field="fov", value=self.fov,
                expected="degrees above 0, below 180",
            )  # fmt: skip

    @property
    def given(self) -> bool:
        """Whether the user named a source."""
        return not (self.calib is None and self.focal is None and self.fov is None)


@dataclass(frozen=True)
class FoundCamera:
    """camera: None where nothing tells it. source: "given", "calibration", "exif", "model" or
    "none". how: in a few words. rig: of the calibration, where it is one of two cameras. note: what
    the user should know, "" for nothing."""

    camera: Camera | None
    source: str
    how: str
    rig: StereoRig | StereoCalibration | None = None
    note: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For result.json."""
        found: dict[str, Any] = {"source": self.source, "how": self.how}
        if self.camera is not None:
            camera = self.camera
            found |= {"fx": camera.fx, "fy": camera.fy, "cx": camera.cx, "cy": camera.cy}
            found["fov_deg"] = math.degrees(2 * math.atan(camera.width / 2 / camera.fx))
            if camera.distortion:
                found |= {"model": camera.model, "distortion": list(camera.distortion)}
        return found


def find_camera(
    view: View, file: Path, tags: PhotoTags, options: CameraOptions, *, video: bool = False
) -> FoundCamera:
    """The camera of an image as far as can be told before the model has seen it.

    Raises `InputError` for a calibration that was given and does not fit the image; one that only
    lies beside it is then left alone, with a note.
    """
    if options.focal is not None:
        how = f"--focal {options.focal:g}"
        return FoundCamera(simple_camera(view.size, options.focal), "given", how)
    if options.fov is not None:
        focal = view.size[0] / 2 / math.tan(math.radians(options.fov) / 2)
        return FoundCamera(simple_camera(view.size, focal), "given", f"--fov {options.fov:g}")
    note = ""
    calib = options.calib
    if calib is not None:
        camera, rig = _read(Path(calib), view.size, options, file)
        return FoundCamera(camera, "calibration", str(calib), rig)
    beside = _beside(file)
    if beside is not None:
        try:
            camera, rig = _read(beside, view.size, options, file)
            return FoundCamera(camera, "calibration", str(beside), rig)
        except FathomError as error:
            note = f"the calibration beside the image is not used: {error}"
    if tags.focal is not None and not video:
        return FoundCamera(
            simple_camera(view.size, tags.focal), "exif", f"EXIF {tags.how}", None, note
        )
    return FoundCamera(None, "none", "", None, note)


def with_model_focal(found: FoundCamera, view: View, focal: float | None) -> FoundCamera:
    """The camera by the model's own focal length, where nothing better is known."""
    if found.camera is not None or focal is None:
        return found
    camera = simple_camera(view.size, focal)
    return FoundCamera(camera, "model", "the model's own estimate", None, found.note)


def simple_camera(size: tuple[int, int], focal: float) -> Camera:
    """An ideal camera with its principal point in the middle of the image."""
    width, height = size
    return Camera(width, height, focal, focal, (width - 1) / 2, (height - 1) / 2)


def has_calibration(file: Path, options: CameraOptions) -> bool:
    """Whether a calibration speaks of the image as it lies in the file: then it is not turned."""
    return options.calib is not None or (not options.given and _beside(file) is not None)


def _beside(file: Path) -> Path | None:
    from fathom.io.calibration.single import find_camera_file

    return find_camera_file(file)


def _read(
    path: Path, size: tuple[int, int], options: CameraOptions, image: Path
) -> tuple[Camera, StereoRig | StereoCalibration | None]:
    from fathom.io.calibration.single import read_camera

    return read_camera(path, size, unit=options.unit, image=image)
