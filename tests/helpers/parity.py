"""Parity: the published networks' own tensors, inputs and outputs, to hold ours against.

The official code was run once with weights that follow from the tensors' names (`value`), on
inputs that follow from their size (`stereo_pair`). `tests/parity/golden/<case>.npz` holds what must
be known of each run: all tensors' names and shapes, and 16x16 samples of the outputs and of a few
layers; `tests/parity/make_golden.py` makes these files from the full references, which are compared
whole where the `shared` folder is there.

    case = parity.case("psmnet_basic")
    net.load_state_dict(convert(parity.state(case)))
    disparity = net(*parity.inputs(case)).disparities[0]
    assert parity.case_error(case, "disp", disparity) < 1e-3
"""

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

GOLDEN = Path(__file__).resolve().parents[1] / "parity" / "golden"
SIDE = 16
_TOKENS = ("pos_embed", "cls_token", "mask_token", "register_tokens")


@dataclass(frozen=True)
class Entry:
    """One tensor of the official state: its name, what it is, and whose memory it shares."""

    key: str
    shape: tuple[int, ...]
    dtype: str
    kind: str
    alias_of: str | None


@dataclass(frozen=True)
class Seen:
    """16x16 of a tensor of the official run, its shape, and mean, std and sum of |x| of all."""

    sample: np.ndarray
    shape: tuple[int, ...]
    mean: float
    std: float
    total: float


@dataclass(frozen=True)
class Case:
    """A run of the official code.

    config: the official settings. iterations: None where there are none. input: in the words of the
    reference. keys: in the order of the official state. outputs, mids: by name; a mid is called
    `module#i`, the i-th tensor of that module's first call.
    """

    name: str
    gain: float
    config: Mapping[str, Any]
    iterations: int | None
    input: str
    params: int
    keys: tuple[Entry, ...]
    outputs: Mapping[str, Seen]
    mids: Mapping[str, Seen]

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the images."""
        found = re.search(r"stereo_pair\((\d+), *(\d+)\)", self.input)
        assert found is not None, self.input
        return int(found[1]), int(found[2])


def case(name: str) -> Case:
    """The case of that name, from its golden file."""
    with np.load(GOLDEN / f"{name}.npz") as file:
        meta = json.loads(file["meta"].tobytes())
        seen = {
            part: {k: Seen(file[f"{part}/{k}"], tuple(s), *v) for k, (s, v) in meta[part].items()}
            for part in ("out", "mid")
        }
    keys = tuple(Entry(k, tuple(s), d, kind, alias) for k, s, d, kind, alias in meta["keys"])
    return Case(
        name,
        meta["gain"],
        meta["config"],
        meta["iterations"],
        meta["input"],
        meta["params"],
        keys,
        seen["out"],
        seen["mid"],
    )


def value(key: str, shape: tuple[int, ...], gain: float) -> np.ndarray:
    """What the tensor of that name holds: noise drawn from the name, scaled by what it is."""
    leaf = key.rsplit(".", 1)[-1]
    if leaf == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    seed = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "little")
    noise = np.random.Generator(np.random.PCG64(seed)).standard_normal(shape)
    n = np.asarray(noise).astype(np.float32)
    if leaf == "running_mean":
        n = np.float32(0.1) * n
    elif leaf == "running_var":
        n = np.float32(1) + np.float32(0.1) * np.abs(n)
    elif leaf in _TOKENS:
        n = np.float32(0.2) * n
    elif len(shape) >= 2:
        n = n * np.float32(gain * math.sqrt(2 / math.prod(shape[1:])))
    elif "bias" in leaf:
        n = np.float32(0.05) * n
    else:
        n = np.float32(1) + np.float32(0.1) * n
    return np.asarray(n, np.float32)


def weights(of: Case) -> dict[str, np.ndarray]:
    """Official name -> values, in the order of the official state; aliases hold equal values."""
    return {e.key: value(e.alias_of or e.key, e.shape, of.gain) for e in of.keys}


def state(of: Case) -> dict[str, Any]:
    """`weights` as torch tensors: what the official `state_dict()` would be."""
    import torch

    return {k: torch.from_numpy(np.array(v)) for k, v in weights(of).items()}


def stereo_pair(height: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Left and right (h, w, 3) uint8, and the disparity (h, w): 8 + 16 y // h on row y."""
    rng = np.random.Generator(np.random.PCG64(0))
    fine, coarse = (rng.random((height, width + 64, 3)) for _ in range(2))
    texture = 0.5 * _unit(_smooth(fine, 1)) + 0.5 * _unit(_smooth(coarse, 8))
    image = np.rint(_unit(texture) * 255).astype(np.uint8)
    shift = 8 + 16 * np.arange(height) // height
    right = np.stack([row[d : d + width] for row, d in zip(image, shift, strict=True)])
    disparity = np.repeat(shift[:, None], width, axis=1).astype(np.float32)
    return image[:, :width].copy(), right, disparity


def images(of: Case) -> tuple[np.ndarray, np.ndarray]:
    """The case's left and right image, (h, w, 3) uint8."""
    return stereo_pair(*of.size)[:2]


def inputs(of: Case) -> tuple[Any, Any]:
    """`images` as our nets take them: float tensors (1, 3, h, w) in 0..255."""
    import torch

    left, right = (
        torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1), dtype=np.float32))[None]
        for image in images(of)
    )
    return left, right


def sample(values: Any) -> np.ndarray:
    """16x16 of an array or a tensor: batch 0, the middle of other leading axes, rows and columns
    floor(linspace(0, n - 1, 16))."""
    a = _array(values)
    if a.ndim >= 3:
        a = a[0]
    while a.ndim > 2:
        a = a[a.shape[0] // 2]
    rows, columns = (np.floor(np.linspace(0, n - 1, min(SIDE, n))).astype(int) for n in a.shape)
    return a[np.ix_(rows, columns)]


def case_error(of: Case, output: str, values: Any) -> float:
    """max |ours - official| / std(official) over the sample of an output; asserts its shape."""
    return _error(of.outputs[output], values, output)


def mid_error(of: Case, mid: str, values: Any) -> float:
    """As `case_error`, of a layer's output (`module#i`)."""
    return _error(of.mids[mid], values, mid)


def full_error(shared: Path, of: Case, output: str, values: Any) -> float:
    """As `case_error`, over the whole output, from the full references in `shared`."""
    with np.load(shared / "parity" / f"{of.name}.npz") as file:
        reference = file[f"out/{output}"].astype(np.float64)
    ours = _array(values).astype(np.float64)
    assert ours.size == reference.size, (ours.shape, reference.shape)
    return float(np.abs(ours.reshape(reference.shape) - reference).max() / reference.std())


def full_spread(shared: Path, of: Case, output: str, values: Any) -> tuple[float, float]:
    """|ours - official| / |official| over the whole output (2-norms), and the share of values that
    differ by more than 1e-3 of its std: for nets in which single pixels flip."""
    with np.load(shared / "parity" / f"{of.name}.npz") as file:
        reference = file[f"out/{output}"].astype(np.float64)
    off = _array(values).astype(np.float64).reshape(reference.shape) - reference
    apart = float(np.linalg.norm(off) / np.linalg.norm(reference))
    return apart, float((np.abs(off) > 1e-3 * reference.std()).mean())


def converted(file: Path, model: str) -> str:
    """The authors' file in our form, beside it, by `fathom weights convert`.

    The pickle is opened here: starting a process for it, as `convert_file` does, takes longer than
    all the rest. tests/published are about that process, and GC-Net's case takes the whole way.
    """
    import pytest

    from fathom.published import unpickle
    from fathom.workflows.weights import KeepOptions, convert_file

    weights = file.with_name("ours.safetensors")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(unpickle, "_opened_apart", _opened_here)
        convert_file(file, weights, KeepOptions(model=model))
    return str(weights)


def _opened_here(file: Any, _path: Any, _seconds: float) -> tuple[str, dict[str, Any]]:
    import torch

    from fathom.published.child import weights_in

    state, wrapper = weights_in(torch.load(file, map_location="cpu", weights_only=True))
    return wrapper, state


def answer(matcher: Any, of: Case) -> Any:
    """What an estimator says of the case's images, which are uint8."""
    from fathom.core import StereoPair, View

    return matcher(StereoPair(*map(View, images(of))))


def assert_same_tensors(of: Case, net: Any, unconvert: Any) -> None:
    """Names, shapes and values there and back, and the number of parameters."""
    import torch

    official = state(of)
    back = unconvert(net.state_dict())
    assert {k: tuple(v.shape) for k, v in back.items()} == {e.key: e.shape for e in of.keys}
    assert all(torch.equal(back[k], official[k]) for k in official)
    assert sum(p.numel() for p in net.parameters()) == of.params


@contextmanager
def first_outputs(modules: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """While open, the tensors that each of the torch modules gives at its first call are caught:
    `{official name: module}` in, `{"official name#i": tensor}` out."""
    caught: dict[str, Any] = {}

    def hook(name: str) -> Any:
        def catch(_module: Any, _given: Any, out: Any) -> None:
            for i, t in enumerate(_flat(out)):
                caught.setdefault(f"{name}#{i}", t.detach().clone())

        return catch

    handles = [m.register_forward_hook(hook(name)) for name, m in modules.items()]
    try:
        yield caught
    finally:
        for handle in handles:
            handle.remove()


def _flat(out: Any) -> list[Any]:
    if isinstance(out, list | tuple):
        return [t for o in out for t in _flat(o)]
    return [out]


def _error(seen: Seen, values: Any, name: str) -> float:
    ours = _array(values)
    assert ours.shape == seen.shape, (name, ours.shape, seen.shape)
    assert np.isfinite(ours).all(), name
    return float(np.abs(sample(ours).astype(np.float64) - seen.sample).max() / seen.std)


def _array(values: Any) -> np.ndarray:
    if hasattr(values, "detach"):
        values = values.detach().float().cpu().numpy()
    return np.asarray(values, np.float32)


def _smooth(values: np.ndarray, radius: int) -> np.ndarray:
    """A circular box filter, twice along both axes, summed in this order of shifts."""
    for axis in (0, 1, 0, 1):
        total = np.zeros_like(values)
        for shift in range(-radius, radius + 1):
            total += np.roll(values, shift, axis=axis)
        values = total / (2 * radius + 1)
    return values


def _unit(values: np.ndarray) -> np.ndarray:
    low, high = (f(axis=(0, 1), keepdims=True) for f in (values.min, values.max))
    return (values - low) / (high - low)
