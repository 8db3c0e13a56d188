"""Every estimator by name: the only list, and `create`, the only door.

Targets are strings, so that listing what exists imports nothing that is heavy.
"""

import importlib
import importlib.util
import inspect
import warnings
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from types import MappingProxyType
from typing import Any, Literal

from fathom.core.errors import UsageError, unknown_name
from fathom.core.estimator import StereoMatcher
from fathom.weights import is_shipped

Task = Literal["stereo", "refine"]
Parameter = int | float | str | bool | None
State = Literal["ready", "install", "missing", "download", "convert"]

_COMMON = ("max_disparity", "min_disparity", "fill", "confidence", "threads", "device", "weights")


@dataclass(frozen=True)
class Entry:
    """One estimator of the catalog.

    name: what `create` takes. target: "module:builder"; the builder's keyword parameters are the
    estimator's. task: what it does. summary: one line, also when to take it. extra: the pip extra
    it needs, "" for none. licence: of the code and weights it uses. weights: name of the weights
    it needs, "" for none. confidence: whether it has a confidence of its own; where it has none,
    `create` wraps it with the flip check. preset: parameters of the builder that make it this one.
    converted: its weights are the authors', which the user converts.
    """

    name: str
    target: str
    task: Task
    summary: str
    extra: str = ""
    licence: str = "Apache-2.0"
    weights: str = ""
    confidence: bool = True
    preset: tuple[tuple[str, Parameter], ...] = ()
    converted: bool = False

    @property
    def state(self) -> State:
        """Whether it runs at once ("ready"), wants a runtime to be installed ("install"), or its
        shipped weights are not in this installation ("missing"), or its authors' weights must be
        converted first ("convert")."""
        if not self.weights:
            return "ready"
        if self.converted:
            return _kept(self.weights)
        if not is_shipped(self.weights):
            return "missing"
        return "ready" if _runtime() else "install"

    def builder(self) -> Callable[..., Any]:
        """The callable behind `target`."""
        module, name = self.target.split(":")
        builder: Callable[..., Any] = getattr(importlib.import_module(module), name)
        return builder

    def prepare(self, notify: Callable[[str, int, int], None]) -> None:
        """Compiles what the method needs compiled, if this machine has not done so yet.

        notify(name, index, count) is called before each compilation, and not at all when nothing
        is to be done. A method says what it needs by a `prepare(notify)` beside its builder.
        """
        home = importlib.import_module(self.target.split(":")[0])
        if hasattr(home, "prepare"):
            home.prepare(notify)


_OWN: Mapping[str, Parameter] = MappingProxyType(
    {"iterations": None, "align_corners": False, "variant": None}
)
"""What only some published nets have, with the value it has for all others."""


_BI3D = "Apache-2.0; weights: NVIDIA Source Code License, non-commercial"
_AANET = "Apache-2.0; weights: not stated; its authors claim patents, research only"


def _network(
    name: str,
    module: str,
    summary: str,
    *,
    licence: str = "Apache-2.0; weights: not stated",
    own: tuple[str, ...] = (),
    confidence: bool = True,
) -> Entry:
    """A published net of the file `fathom/nets/stereo/<module>.py`. own: parameters of `_OWN` that
    it has. confidence: whether it gives a distribution over disparities."""
    hidden = tuple(item for item in _OWN.items() if item[0] not in own)
    # the mirror's confidence, which stands in, is calibrated as it is
    hidden += () if confidence else (("calibrated", True),)
    return Entry(
        name,
        "fathom.combine.networks:Network",
        "stereo",
        summary,
        extra="torch",
        licence=licence,
        weights=name,
        confidence=confidence,
        preset=(("model", name), ("module", module), *hidden),
        converted=True,
    )


_ENTRIES = (
    Entry(
        "fathom-s",
        "fathom.combine.learned:Learned",
        "stereo",
        "Learned matching over semi-global evidence: the most accurate; needs OpenVINO or ONNX",
        weights="fathom-s",
        preset=(("model", "fathom-s"),),
    ),
    Entry(
        "sgm-refined",
        "fathom.combine.learned:Learned",
        "stereo",
        "Semi-global matching corrected and filled by a small net that sees the left view",
        weights="sgm-refined",
        preset=(("model", "sgm-refined"),),
    ),
    Entry(
        "sgm",
        "fathom.classical.sgm:SGM",
        "stereo",
        "Census semi-global matching, 8 paths: the most accurate without a net; any processor",
    ),
    Entry(
        "mrf",
        "fathom.classical.mrf:MRF",
        "stereo",
        "One energy over the whole image: belief propagation, graph cuts or scanlines; seconds",
    ),
    Entry(
        "opencv-sgbm",
        "fathom.classical.opencv:OpenCVSGBM",
        "stereo",
        "OpenCV's semi-global block matching (modes sgbm, hh, 3way, hh4): the usual yardstick",
        confidence=False,
    ),
    Entry(
        "census",
        "fathom.classical.local:CensusLocal",
        "stereo",
        "Census bits over a window, no smoothing: fine detail, minds no exposure; textured scenes",
    ),
    Entry(
        "zncc",
        "fathom.classical.local:ZNCC",
        "stereo",
        "Zero-mean correlation over a window: minds neither gain nor offset between the cameras",
    ),
    Entry(
        "ncc",
        "fathom.classical.local:NCC",
        "stereo",
        "Correlation over a window: minds no gain between the cameras",
    ),
    Entry(
        "ssd",
        "fathom.classical.local:SSD",
        "stereo",
        "Squared differences over a window: for study, and for cameras of equal exposure",
    ),
    Entry(
        "sad",
        "fathom.classical.local:SAD",
        "stereo",
        "Absolute differences over a window: the textbook's baseline",
    ),
    Entry(
        "opencv-bm",
        "fathom.classical.opencv:OpenCVBM",
        "stereo",
        "OpenCV's block matching: the fastest, for textured scenes and small machines",
        confidence=False,
    ),
    _network(
        "psmnet",
        "psmnet",
        "PSMNet (CVPR 2018): pyramid pooling and stacked 3-D hourglasses; its authors' weights",
        own=("align_corners",),
    ),
    _network(
        "psmnet-basic",
        "psmnet",
        "PSMNet with plain 3-D convolutions: the paper's baseline; weights of your own training",
        licence="Apache-2.0",
        own=("align_corners",),
    ),
    _network(
        "psmnet-cspn",
        "psmnet_cspn",
        "PSMNet whose scores propagate in 3-D (PAMI 2020): weights of your own training",
        licence="Apache-2.0",
    ),
    _network(
        "gc-net",
        "gc_net",
        "GC-Net (ICCV 2017): the first 3-D net with soft argmin; weights of your own training",
        licence="Apache-2.0",
    ),
    _network(
        "gwcnet",
        "gwcnet",
        "GwcNet (CVPR 2019): channels compared in groups, 3-D hourglasses; its authors' weights",
    ),
    _network(
        "gwcnet-g",
        "gwcnet",
        "GwcNet without concatenated channels: weights of your own training",
        licence="Apache-2.0",
    ),
    _network(
        "aanet",
        "aanet",
        "AANet (CVPR 2020): 2-D convolutions that choose their places; its authors' weights",
        licence=_AANET,
        own=("align_corners",),
        confidence=False,
    ),
    _network(
        "aanet-plus",
        "aanet",
        "AANet+: the same with hourglasses: better, and hardly slower; its authors' weights",
        licence=_AANET,
        own=("align_corners",),
        confidence=False,
    ),
    _network(
        "hitnet",
        "hitnet",
        "HITNet (CVPR 2021): slanted tiles moved and refined, no volume kept; converted weights",
        confidence=False,
    ),
    _network(
        "hitnet-xl",
        "hitnet",
        "HITNet-XL: the same with more channels: the authors' large net for Scene Flow",
        confidence=False,
    ),
    _network(
        "hitnet-kitti",
        "hitnet",
        "HITNet with five levels, as for KITTI: tiles compete; weights of your own training",
        licence="Apache-2.0",
        confidence=False,
    ),
    _network(
        "bi3d",
        "bi3d",
        "Bi3D (CVPR 2020): sums binary answers to planes, 3-D regularised; its authors' weights",
        licence=_BI3D,
    ),
    _network(
        "bi3d-2d",
        "bi3d",
        "Bi3D without the 3-D net: its authors' weights",
        licence=_BI3D,
    ),
    Entry(
        "bi3d-binary",
        "fathom.combine.bi3d:Bi3DSteps",
        "stereo",
        "Bi3D's single answer: nearer than this plane? One pass; see fathom nearer",
        extra="torch",
        licence=_BI3D,
        weights="bi3d-binary",
        converted=True,
        preset=(("model", "bi3d-binary"),),
    ),
    Entry(
        "bi3d-quantized",
        "fathom.combine.bi3d:Bi3DSteps",
        "stereo",
        "Bi3D's depth in steps between a few planes, one pass each; weights of bi3d-binary",
        extra="torch",
        licence=_BI3D,
        weights="bi3d-binary",
        converted=True,
        preset=(("model", "bi3d-quantized"),),
    ),
    Entry(
        "bi3d-selective",
        "fathom.combine.bi3d:Bi3DSelective",
        "stereo",
        "Bi3D within a selected range, nearer or farther elsewhere; weights of bi3d-2d",
        extra="torch",
        licence=_BI3D,
        weights="bi3d-2d",
        converted=True,
    ),
    _network(
        "coex",
        "coex",
        "CoEx (IROS 2021): light, its volume gated by the image's features; its authors' weights",
        own=("variant",),
    ),
    _network(
        "fast-acvnet",
        "fast_acvnet",
        "Fast-ACVNet (TPAMI 2023): attention picks 24 disparities a pixel; its authors' weights",
    ),
    _network(
        "fast-acvnet-plus",
        "fast_acvnet",
        "Fast-ACVNet+: the same with attention from a quarter of the size; its authors' weights",
    ),
    _network(
        "lightstereo",
        "lightstereo",
        "LightStereo-S (ICRA 2025): disparities as channels, 2-D nets do; its authors' weights",
    ),
    _network(
        "lightstereo-m",
        "lightstereo",
        "LightStereo-M: the same with more blocks; its authors' weights",
    ),
    Entry(
        "raft-stereo",
        "fathom.combine.raft_stereo:RaftStereo",
        "stereo",
        "RAFT-Stereo (3DV 2021): recurrent updates, no largest disparity; its authors' weights",
        extra="torch",
        licence="Apache-2.0; weights: not stated",
        weights="raft-stereo",
        converted=True,
        preset=(("model", "raft-stereo"),),
    ),
    Entry(
        "raft-stereo-realtime",
        "fathom.combine.raft_stereo:RaftStereo",
        "stereo",
        "RAFT-Stereo's fast variant: an eighth of the size, seven updates; its authors' weights",
        extra="torch",
        licence="Apache-2.0; weights: not stated",
        weights="raft-stereo-realtime",
        converted=True,
        preset=(("model", "raft-stereo-realtime"),),
    ),
    _network(
        "igev",
        "igev",
        "IGEV-Stereo (CVPR 2023): a volume's answer, then recurrent updates; its authors' weights",
        own=("iterations",),
    ),
    _network(
        "crestereo",
        "crestereo",
        "CREStereo (CVPR 2022): a cascade of updates from half the size on; minds rows less",
        own=("iterations", "variant"),
        confidence=False,
    ),
    Entry(
        "mc-cnn-fast",
        "fathom.combine.mc_cnn:MCCNN",
        "stereo",
        "MC-CNN (JMLR 2016): learned patches, then semi-global matching; its authors' weights",
        extra="torch",
        licence="Apache-2.0; weights: not stated",
        weights="mc-cnn-fast",
        converted=True,
        preset=(("model", "mc-cnn-fast"),),
    ),
    Entry(
        "mc-cnn-accurate",
        "fathom.combine.mc_cnn:MCCNN",
        "stereo",
        "MC-CNN with its decision network: minutes a pair without a GPU; its authors' weights",
        extra="torch",
        licence="Apache-2.0; weights: not stated",
        weights="mc-cnn-accurate",
        converted=True,
        preset=(("model", "mc-cnn-accurate"),),
    ),
    Entry(
        "cspn",
        "fathom.combine.propagate:Refiner",
        "refine",
        "CSPN (ECCV 2018): makes sparse or unsure maps dense, along edges or by its authors' net",
        licence="Apache-2.0; weights: not stated",
        preset=(("method", "cspn"),),
    ),
    Entry(
        "spn",
        "fathom.combine.propagate:Refiner",
        "refine",
        "SPN (NeurIPS 2017): the same in one sweep from each side; best for very sparse maps",
        preset=(("method", "spn"), ("positive", False)),
    ),
)
DEFAULT = "sgm"
"""What `default` stands for, where it is ready."""
_FALLBACK = "sgm"
_RUNTIMES = ("openvino", "onnxruntime")


def entries(
    task: Task | None = None, *, ready: bool = False, own: bool = False
) -> tuple[Entry, ...]:
    """All entries in the order of the list, or those of one task. ready: only what runs here. own:
    only what comes with fathom, not nets whose weights the user has converted."""
    listed = (e for e in _ENTRIES if task is None or e.task == task)
    listed = (e for e in listed if not (own and e.converted))
    return tuple(e for e in listed if not ready or e.state == "ready")


def default_name() -> str:
    """The method behind `default`: `DEFAULT`, or one that runs everywhere where that is not ready.

    It looks for files and installed packages only; nothing is imported.
    """
    chosen = next(e for e in _ENTRIES if e.name == DEFAULT)
    return DEFAULT if chosen.state == "ready" else _FALLBACK


def default_note() -> str | None:
    """One line on why `default` is not what it should be, and what to do; None where it is."""
    if default_name() == DEFAULT:
        return None
    state = next(e.state for e in _ENTRIES if e.name == DEFAULT)
    reason, remedy = {
        "install": ("neither openvino nor onnxruntime is installed", "run: pip install openvino"),
    }.get(state, ("its weights are not in this installation", "install fathom again"))
    return f"{_FALLBACK} instead of {DEFAULT} as the default method: {reason}; {remedy}"


def _kept(weights: str) -> State:
    """Whether torch is installed and converted weights are kept under that name."""
    if importlib.util.find_spec("torch") is None:
        return "install"
    from fathom.published.store import has_weights

    return "ready" if has_weights(weights) else "convert"


def _runtime() -> bool:
    """Whether anything that runs exported models is installed."""
    return any(importlib.util.find_spec(name) is not None for name in _RUNTIMES)


def entry(name: str) -> Entry:
    """The entry of that name (`default` is one, too).

    Raises `UsageError` with close matches for an unknown name.
    """
    known = {e.name: e for e in _ENTRIES}
    found = known.get(default_name() if name == "default" else name)
    if found is None:
        raise unknown_name("method", name, [*known, "default"])
    return found


def parameters(name: str) -> dict[str, Field[Any]]:
    """The method's own parameters, beyond those that every method takes: name -> dataclass field.

    Raises `UsageError` for an unknown method.
    """
    chosen = entry(name)
    builder = chosen.builder()
    if not is_dataclass(builder):
        return {}
    hidden = (*_COMMON, *dict(chosen.preset))
    return {f.name: f for f in fields(builder) if f.name not in hidden}


def settings(estimator: Any) -> dict[str, Any]:
    """Every parameter of a built estimator with its value, wrapped estimators included."""
    if not is_dataclass(estimator) or isinstance(estimator, type):
        return {}
    found: dict[str, Any] = {}
    for f in fields(estimator):
        value = getattr(estimator, f.name)
        inner = {"type": type(value).__name__, **settings(value)} if callable(value) else value
        found[f.name] = inner
    return found


def create(
    name: str = "default",
    *,
    max_disparity: int | None = None,
    min_disparity: int | None = None,
    fill: bool = True,
    confidence: bool = True,
    threads: int | None = None,
    device: str = "cpu",
    weights: str | None = None,
    **own: Parameter,
) -> StereoMatcher:
    """An estimator by name.

    max_disparity: the search ends before this disparity in pixels; None = from the rig, or from
    the width of each pair. min_disparity: where it starts, default 0. fill: False leaves unknown
    pixels NaN; otherwise they are filled and marked in `Disparity.source`. confidence: False
    leaves it out and saves its cost. threads: None = all cores. device: where it runs.
    weights: a file of weights, for methods that have some. own: parameters of that one method, as
    `fathom depth --method NAME --help` lists them.

    >>> import fathom
    >>> matcher = fathom.create("opencv-sgbm", max_disparity=64, mode="hh")

    Raises `UsageError` for an unknown method, parameter or value; nothing is passed on unchecked.
    Warns where `default` is not the method it should be, for lack of a package or its weights.
    """
    chosen = entry(name)
    note = default_note() if name == "default" else None
    if note is not None:
        warnings.warn(note, stacklevel=2)
    builder = chosen.builder()
    preset = dict(chosen.preset)
    accepted = {n: p for n, p in inspect.signature(builder).parameters.items() if n not in preset}
    if threads is not None and threads < 1:
        raise UsageError(
            "is no number of threads", field="threads", value=threads, expected="1 or more"
        )
    for key in own:
        if key not in accepted or key in _COMMON:
            raise unknown_name(
                f"parameter of {chosen.name}:", key, [p for p in accepted if p not in _COMMON]
            )
    common: Mapping[str, Any] = {
        "max_disparity": max_disparity,
        "min_disparity": min_disparity,
        "fill": fill,
        "confidence": confidence,
        "threads": threads,
    }
    given = {k: v for k, v in common.items() if k in accepted and v is not None}
    given.update(_device_and_weights(chosen, accepted, device, weights))
    matcher: StereoMatcher = builder(**given, **own, **preset)
    if confidence and not chosen.confidence:
        from fathom.combine.flip import FlipConfidence

        return FlipConfidence(matcher)
    return matcher


def _device_and_weights(
    chosen: Entry, accepted: Mapping[str, inspect.Parameter], device: str, weights: str | None
) -> dict[str, Any]:
    """The two options that only some methods have; the others refuse what they cannot do."""
    given: dict[str, Any] = {}
    if "device" in accepted:
        given["device"] = device
    elif device != "cpu":
        raise UsageError(
            f"{chosen.name} runs on the CPU only", field="device", value=device, expected="cpu"
        )
    if "weights" in accepted:
        given["weights"] = weights
    elif weights is not None:
        raise UsageError(
            f"{chosen.name} has no weights", field="weights", value=weights, remedy="leave it out"
        )
    return given


def default_of(field: Field[Any]) -> Any:
    """The default of a dataclass field; None where it has none."""
    if field.default is not MISSING:
        return field.default
    return field.default_factory() if field.default_factory is not MISSING else None
