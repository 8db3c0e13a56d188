"""What one-view methods are compared with stereo on: frames with a truth in disparity or depth."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from fathom.core.arrays import Array
from fathom.core.camera import StereoRig
from fathom.core.errors import UsageError
from fathom.core.maps import Depth, Disparity
from fathom.core.pair import StereoPair, View
from fathom.core.sample import MonoSample, StereoSample
from fathom.data.manifest import ENCODINGS, read_truth
from fathom.data.registry import open_dataset
from fathom.eval.regions import FROM_MASKS, bright, dark, near_and_far, repetitive, textureless
from fathom.eval.regions import regions as stereo_regions
from fathom.geometry.resize import nearest_indices
from fathom.io.files import in_file
from fathom.io.pairing import FoundPairs, PairFiles
from fathom.workflows.compare_cases import Loaded, dense, prepared
from fathom.workflows.compare_inputs import Inputs, inputs_of_files
from fathom.workflows.pairs import PairOptions, load_pair
from fathom.workflows.truths import truth_files

TruthKind = Literal["disparity", "depth"]
TRUTHS: tuple[TruthKind, ...] = ("disparity", "depth")
_EDGE = 0.1  # a window whose depths differ by more than this share holds a depth edge
_EDGE_SIDE = 9
_VIDEOS = frozenset(
    {
        "driving", "flyingthings3d", "kitti-raw", "monkaa", "scannet", "sceneflow", "sintel",
        "spring", "tartanair", "tum-rgbd", "virtual-kitti-2",
    }
)  # fmt: skip
"""Data sets whose samples are the frames of videos, a folder of names each."""


@dataclass(frozen=True, eq=False)
class Frame:
    """One view with what is known of it.

    pair: with its partner, where there is one. disparity, depth: the truth, each where it is known
    (both where there is a rig). masks: as of the samples. unseen: pixels that no camera saw.
    group: the data set, or the folder of one, that the frame belongs to.
    """

    name: str
    view: View
    pair: StereoPair | None = None
    disparity: Disparity | None = None
    depth: Depth | None = None
    masks: Mapping[str, Array] = field(default_factory=dict)
    unseen: Array | None = None
    group: str = ""
    notes: tuple[str, ...] = ()

    @property
    def rig(self) -> StereoRig | None:
        """The rig of the pair."""
        return None if self.pair is None else self.pair.rig

    @property
    def has_truth(self) -> bool:
        """Whether anything is known of it."""
        return self.disparity is not None or self.depth is not None

    def regions(self) -> dict[str, Array]:
        """Regions by name, as `eval.regions` has them; of a depth alone those that can be told.

        There, edges are windows of 9x9 pixels whose depths differ by more than 10 %.
        """
        if self.pair is not None and self.disparity is not None:
            sample = StereoSample(self.pair, self.disparity, self.masks, self.name)
            found = stereo_regions(sample)
            if not dense(self.disparity):
                seen = "nonocc" in self.masks
                for name in ("edges", "thin", *(() if seen else ("occluded",))):
                    found.pop(name)
            return found
        if self.depth is None:
            return {}
        grey, z = self.view.gray8, self.depth.values
        near, far = near_and_far(1 / z)
        found = {"textureless": textureless(grey), "repetitive": repetitive(grey)}
        found |= {"bright": bright(grey), "dark": dark(grey), "near": near, "far": far}
        if self.depth.share_known >= 0.5:
            found = {"edges": _steps(z), **found}
        return found | {name: self.masks[name] for name in FROM_MASKS if name in self.masks}

    def edge_share(self) -> float:
        """Share 0..1 of the pixels with truth near a depth edge: how complex the frame is.

        Windows of 9x9 pixels whose depths (disparities, where metres are not known) differ by more
        than 10 %. NaN without truth, or with one too sparse to tell.
        """
        whole = self.depth or self.disparity
        if whole is None or whole.share_known < 0.5:
            return float("nan")
        values = np.where(whole.values > 0, whole.values, np.float32(np.nan))
        return float(_steps(values).sum() / max(np.count_nonzero(whole.known), 1))


def _steps(positive: Array) -> Array:
    from fathom.eval.boundaries import depth_edges

    edges: Array = depth_edges(np.log(positive), float(np.log1p(_EDGE)), _EDGE_SIDE)
    return edges


Frames = Inputs[Frame]
"""Named frames that are read when asked for."""


@dataclass(frozen=True)
class TruthFiles:
    """Where the truth of files of one's own lies. kind: what it holds. encoding, scale: how
    (`data.manifest.read_truth`).

    Raises `UsageError` for an unknown kind or encoding.
    """

    files: Sequence[str | Path] | None = None
    kind: TruthKind = "disparity"
    encoding: str = "auto"
    scale: float | None = None

    def __post_init__(self) -> None:
        for name, value, known in (
            ("truth-kind", self.kind, TRUTHS),
            ("truth-encoding", self.encoding, ENCODINGS),
        ):
            if value not in known:
                raise UsageError(
                    "is not known", field=name, value=value, expected=" or ".join(known)
                )


def frames_of_files(found: FoundPairs, truth: TruthFiles, options: PairOptions) -> Frames:
    """Frames of images of one's own: pairs, or single views where a file has no partner.

    Raises `UsageError` if there are not as many truths as images, or if single views are given a
    truth in disparity.
    """
    files = None if truth.files is None else truth_files(found, truth.files)
    single = any(pair.right is None for pair in found.pairs) and options.layout is None
    if single and files is not None and truth.kind == "disparity":
        raise UsageError(
            "a single view has no disparity", field="truth-kind", value="disparity",
            remedy="give --truth-kind depth, or the right images as well",
        )  # fmt: skip

    def load(index: int) -> Frame:
        file = None if files is None else files[index]
        if single:
            return _own_view(found.pairs[index], file, truth)
        return _own_pair(found.pairs[index], file, truth, options)

    told = {"truth_kind": truth.kind, "truth_encoding": truth.encoding}
    return inputs_of_files(found, files, told, load)


def _own_view(files: PairFiles, truth: Path | None, how: TruthFiles) -> Frame:
    from fathom.io.images import read_view

    view = read_view(files.left)
    if truth is None:
        return Frame(files.name, view)
    depth = Depth(read_truth(truth, "depth", how.encoding, how.scale))
    with in_file(truth):
        return frame_of(MonoSample(view, depth, {}, files.name))


def _own_pair(files: PairFiles, truth: Path | None, how: TruthFiles, options: PairOptions) -> Frame:
    loaded = load_pair(files.left, files.right, options)
    disparity = depth = None
    if truth is not None:
        values = read_truth(truth, how.kind, how.encoding, how.scale)
        shape = loaded.pair.shape
        if options.scale != 1 and values.shape != shape:
            ratio = shape[1] / values.shape[1] if how.kind == "disparity" else 1.0
            rows, columns = (
                nearest_indices(o, n) for o, n in zip(values.shape, shape, strict=True)
            )
            values = values[np.ix_(rows, columns)] * np.float32(ratio)
        if loaded.unseen is not None and loaded.unseen.shape == values.shape:
            values = np.where(loaded.unseen, np.float32(np.nan), values)
        rig = loaded.pair.rig
        if how.kind == "disparity":
            disparity = Disparity(values)
        elif rig is not None and (values.shape[1], values.shape[0]) == rig.size:
            disparity = Disparity(rig.disparity_of(values))
        else:
            depth = Depth(values)
    with in_file(truth or files.left):
        sample = StereoSample(loaded.pair, disparity, {}, files.name)
        frame = frame_of(sample, unseen=loaded.unseen, notes=loaded.notes)
        if depth is None:
            return frame
        checked = MonoSample(frame.view, depth, {}, files.name)
        note = "the truth is a depth and there is no calibration: disparities are fitted to it"
        return replace(frame, depth=checked.truth, notes=(*frame.notes, note))


def frame_of(
    sample: StereoSample | MonoSample,
    *,
    group: str = "",
    unseen: Array | None = None,
    notes: tuple[str, ...] = (),
) -> Frame:
    """The frame of a sample, with `nonocc` where the truth is dense enough to tell it."""
    if isinstance(sample, MonoSample):
        depth = sample.truth if sample.truth is not None and sample.truth.known.any() else None
        return Frame(
            sample.name, sample.view, None, None, depth, sample.masks, unseen, group, notes
        )
    ready = prepared(Loaded(sample, unseen, notes))
    pair, truth = ready.sample.pair, ready.sample.truth
    view = replace(pair.left, camera=None if pair.rig is None else pair.rig.left)
    depth = None
    if truth is not None and pair.rig is not None:
        depth = Depth(pair.rig.depth_of(truth.values))
    return Frame(
        sample.name, view, pair, truth, depth, ready.sample.masks, unseen, group, ready.notes
    )


def frames_of_datasets(
    roots: Sequence[Path], format: str | None, split: str | None, own: Mapping[str, Any]
) -> Frames:
    """The samples of one or more data sets or lists, pairs or single views.

    A frame's group is its data set if there are several, else the first folder of its name if the
    names have several. Raises as `open_dataset` does.
    """
    sets = [open_dataset(format, root, split, **own) for root in roots]
    several = len(sets) > 1
    labels = _labels(roots)
    names, places = [], []
    for i, dataset in enumerate(sets):
        names += [f"{labels[i]}/{name}" if several else name for name in dataset.names]
        places += [(i, j) for j in range(len(dataset))]
    folders = {name.split("/")[0] for name in names if "/" in name}

    def load(index: int) -> Frame:
        which, inside = places[index]
        name = names[index]
        in_folder = len(folders) > 1 and "/" in name
        group = labels[which] if several else name.split("/")[0] if in_folder else ""
        sample: StereoSample | MonoSample = sets[which].load(inside)
        return frame_of(replace(sample, name=name), group=group)

    source = {
        "format": ", ".join(dict.fromkeys(dataset.format for dataset in sets)),
        "root": ", ".join(str(root) for root in roots),
        "split": ", ".join(dict.fromkeys(dataset.split for dataset in sets)),
    }
    videos = {i for i, dataset in enumerate(sets) if dataset.format in _VIDEOS}
    clips = [
        (name.rpartition("/")[0] or labels[which]) if which in videos else ""
        for name, (which, _) in zip(names, places, strict=True)
    ]
    return Frames(source, names, load, clips=clips)


def _labels(roots: Sequence[Path]) -> list[str]:
    """A short name for each root, all different."""
    short = [root.stem if root.is_file() else root.resolve().name for root in roots]
    if len(set(short)) == len(short):
        return short
    return [f"{name}-{i + 1}" for i, name in enumerate(short)]
