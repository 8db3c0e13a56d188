"""Reading one image for depth from one image: the right way up, with its camera, or not at all."""

from dataclasses import dataclass, replace
from pathlib import Path

from fathom.core.errors import InputError
from fathom.core.pair import View
from fathom.io.images import read_image
from fathom.io.photo import PhotoTags, read_tags, refuse_animation, upright
from fathom.workflows.mono_camera import CameraOptions, FoundCamera, find_camera, has_calibration

_LEAST_SIDE = 8


@dataclass(frozen=True, eq=False)
class LoadedImage:
    """An image that is ready. name: what its results are called. panorama: a plain camera does not
    hold for it. notes: what a user should know, one sentence each."""

    name: str
    file: Path
    view: View
    found: FoundCamera
    panorama: bool = False
    notes: tuple[str, ...] = ()


def load_image(file: Path, name: str, options: CameraOptions) -> LoadedImage:
    """The image, turned upright as its EXIF tag says, unless a calibration speaks of it as it is.

    Raises `InputError` for what is no readable single image of at least 8 x 8 pixels, or a given
    calibration that does not fit.
    """
    tags = read_tags(file)
    refuse_animation(file, tags)
    image = read_image(file)
    notes = []
    if tags.orientation != 1 and not has_calibration(file, options):
        image = upright(image, tags.orientation)
        notes.append(f"turned upright, as its EXIF tag says (orientation {tags.orientation})")
    return image_with_camera(View(image), file, name, tags, options, notes=tuple(notes))


def image_with_camera(
    view: View,
    file: Path,
    name: str,
    tags: PhotoTags,
    options: CameraOptions,
    *,
    video: bool = False,
    notes: tuple[str, ...] = (),
) -> LoadedImage:
    """A view that was read already, with the camera that took it. Raises as `load_image`."""
    width, height = view.size
    if min(width, height) < _LEAST_SIDE:
        raise InputError(
            "is too small for depth from one image", file=file, field="size",
            value=f"{width}x{height}", expected=f"{_LEAST_SIDE}x{_LEAST_SIDE} pixels or more",
        )  # fmt: skip
    found = find_camera(view, file, tags, options, video=video)
    if found.note:
        notes = (*notes, found.note)
    panorama = tags.panorama or (width == 2 * height and found.source in ("none", "exif"))
    if panorama:
        sure = "says that it is" if tags.panorama else "is twice as wide as high, like"
        notes = (
            *notes,
            f"the image {sure} a panorama: a plain camera does not hold for it, so the model may "
            "be wrong and there is no cloud" + ("" if tags.panorama else "; if it is none, say "
            "--fov DEGREES or --calib FILE"),
        )  # fmt: skip
        found = replace(found, camera=None, source="none", how="a panorama has no focal length")
    return LoadedImage(name, file, replace(view, camera=found.camera), found, panorama, notes)
