"""Frames beside their maps: a video, or pictures where none can be written."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fathom.core.arrays import Array
from fathom.core.errors import ResourceError
from fathom.io.frames import Frames
from fathom.viz.color import Scale
from fathom.workflows.depth import Listener

VIDEO = "frames beside their maps, one range of colours over the clip"
PICTURE = "the same as pictures, where no video can be written"
_RATE = 10.0
_SHOWN = 6


@dataclass(frozen=True, eq=False)
class Painted:
    """The maps of a clip, in `folder`/maps, in one range of colours.

    names: of the frames, as their maps are called. scale: the colours.
    """

    frames: Frames
    names: list[str]
    folder: Path
    scale: Scale

    def write(self, listener: Listener) -> tuple[dict[str, Any], list[tuple[str, Array]]]:
        """The video, or pictures where none can be written; and some frames for the report."""
        from fathom.io.images import write_png
        from fathom.io.video import write_video

        wanted = set(np.linspace(0, len(self.names) - 1, _SHOWN).astype(int).tolist())
        shown: list[tuple[str, Array]] = []
        first = next(self._pictures())[1]
        size = (first.shape[1], first.shape[0])
        rate = (self.frames.rate or _RATE * self.frames.every) / self.frames.every
        try:
            with write_video(self.folder / "depth.mp4", size, rate) as video:
                for index, (name, picture) in enumerate(self._pictures()):
                    video.write(picture)
                    if index in wanted:
                        shown.append((name, picture))
            return {"depth.mp4": {"content": VIDEO}}, shown
        except ResourceError as error:
            listener.warn(f"no video, pictures instead: {error.problem}")
        shown, files = [], {}
        for index, (name, picture) in enumerate(self._pictures()):
            write_png(self.folder / "color" / f"{name}.png", picture)
            files[f"color/{name}.png"] = {"content": PICTURE}
            if index in wanted:
                shown.append((name, picture))
        return files, shown

    def _pictures(self) -> Iterator[tuple[str, Array]]:
        """Image and map beside each other; both sides even, as video codecs want them."""
        from fathom.io.maps import read_disparity

        for name, frame in zip(self.names, self.frames, strict=True):
            values = read_disparity(self.folder / "maps" / f"{name}.npy")
            both = np.concatenate([frame.view.rgb8, self.scale.paint(values)], axis=1)
            height = both.shape[0] % 2
            yield name, np.pad(both, ((0, height), (0, 0), (0, 0)), mode="edge")
