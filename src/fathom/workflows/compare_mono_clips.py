"""Models of whole videos in a comparison: the frames of a sequence go to them together."""

from collections.abc import Sequence
from typing import Any

from fathom.core.errors import FathomError, ResourceError
from fathom.core.mono import AnswersMany
from fathom.core.pair import View
from fathom.workflows.compare_methods import clocked
from fathom.workflows.compare_mono_frames import Frames

Answered = tuple[Any, float, float | None]
"""An answer, its seconds, and the memory of its call in MB."""


class ClipAnswers:
    """Answers of models of whole videos, asked for frame by frame.

    A window holds frames of one sequence that follow each other among those compared. Its answers
    are kept until each was asked for, its views only while the model sees them.

    frames, indices: what is compared, in its order. window: most frames that are seen together.
    """

    def __init__(self, frames: Frames, indices: Sequence[int], window: int) -> None:
        self._frames, self._indices, self._window = frames, list(indices), window
        self._places = {index: place for place, index in enumerate(self._indices)}
        self._kept: dict[tuple[str, int], Answered | FathomError] = {}
        self.together: dict[str, int] = {}

    def name(self, index: int) -> str:
        """What the frame of an index is called."""
        return self._frames.names[index]

    def answer(self, label: str, estimator: Any, view: View, index: int) -> Answered:
        """The answer to the frame of that index, whose view is at hand; a frame's seconds are its
        share of the call's. together[label] is the largest number of frames seen at once.

        Raises what the model raises, for every frame of the window.
        """
        if (label, index) not in self._kept:
            members, views = self._members(index, view)
            self.together[label] = max(self.together.get(label, 1), len(members))
            if len(members) == 1 or not isinstance(estimator, AnswersMany):
                return clocked(estimator, view)
            self._ask(label, estimator, members, views)
        found = self._kept.pop((label, index))
        if isinstance(found, FathomError):
            raise found
        return found

    def _ask(
        self, label: str, estimator: AnswersMany, members: Sequence[int], views: Sequence[View]
    ) -> None:
        try:
            answers, seconds, memory = clocked(estimator.answers, views)
        except FathomError as error:
            self._kept |= {(label, i): error for i in members}
            return
        except MemoryError:
            short = ResourceError(
                "not enough memory for a sequence", field="clip", value=len(members),
                remedy="take fewer frames together: --clip N",
            )  # fmt: skip
            self._kept |= {(label, i): short for i in members}
            return
        share = seconds / len(members)
        for i, answer in zip(members, answers, strict=True):
            self._kept[label, i] = (answer.map, share, memory)

    def _members(self, index: int, view: View) -> tuple[list[int], list[View]]:
        """The window that begins with a frame: up to the end of its sequence, a frame that cannot
        be read, or one of another size."""
        members, views = [index], [view]
        clip = self._frames.clips[index] if self._frames.clips else ""
        for other in self._indices[self._places[index] + 1 :]:
            if not clip or len(members) == self._window or self._frames.clips[other] != clip:
                break
            try:
                seen = self._frames.load(other).view
            except FathomError:
                break
            if seen.size != view.size:
                break
            members.append(other)
            views.append(seen)
        return members, views
