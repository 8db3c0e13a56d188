"""The memory that one backend takes for one model and size, found in a process of its own.

    python -m fathom.export.probe BACKEND FILE HEIGHT WIDTH THREADS [MODEL]

prints {"before_mb": ..., "peak_mb": ...}: what the process held before the backend was imported,
and the most it ever held while the model ran twice. MODEL, for a published net in torch: its name,
module and settings as JSON.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from fathom.classical.channels import CHANNELS
from fathom.core.errors import ResourceError

Made = tuple[str, str, dict[str, Any]]


def memory_mb(
    backend: str, file: Path, height: int, width: int, threads: int, made: Made | None = None
) -> float:
    """Megabytes that importing the backend, loading the file and running it twice take.

    file: weights as safetensors for the backend `torch`, else an exported model. made: the name,
    module and settings of a published net in torch.

    Raises `ResourceError` if the process fails, as it does where memory is short.
    """
    words = [backend, str(file), str(height), str(width), str(threads)]
    words += [] if made is None else [json.dumps(made)]
    done = subprocess.run(  # noqa: S603  # our own interpreter and module
        [sys.executable, "-m", "fathom.export.probe", *words],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    try:
        found = json.loads(done.stdout.splitlines()[-1])
        return float(found["peak_mb"] - found["before_mb"])
    except (ValueError, KeyError, IndexError) as error:
        lines = done.stderr.strip().splitlines()
        raise ResourceError(
            f"{backend} failed while its memory was measured",
            file=file,
            value=lines[-1] if lines else f"exit code {done.returncode}",
            remedy="free memory, or leave the measurement out",
        ) from error


def peak_mb() -> float:
    """The most this process has held. Linux keeps a count that starts anew with a program; the
    portable one of `getrusage` is inherited from the parent."""
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
    try:
        import resource
    except ImportError:  # Windows has no such count
        return float("nan")
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def main(words: list[str]) -> None:
    """Runs a model twice on black images and prints what the process held."""
    backend, file = words[0], Path(words[1])
    height, width, threads = (int(word) for word in words[2:5])
    before = peak_mb()
    inputs = {
        name: np.zeros((1, channels, height, width), np.float32)
        for name, channels in (("left", 3), ("right", 3), ("evidence", CHANNELS))
    }
    if backend == "torch":
        import torch

        torch.set_num_threads(threads)
        net = _in_torch(file, words[5:])
        given = list(inputs.values())[: 2 if words[5:] else None]
        with torch.inference_mode():
            for _ in range(2):
                net(*map(torch.from_numpy, given))
    else:
        from fathom.runtime import load_model

        model = load_model(file, backend=backend, threads=threads)  # type: ignore[arg-type]
        for _ in range(2):
            model({name: inputs[name] for name in model.inputs})
    sys.stdout.write(json.dumps({"before_mb": before, "peak_mb": peak_mb()}) + "\n")


def _in_torch(file: Path, told: list[str]) -> Any:
    """The net: a published one of which `told` is the JSON, else ours by its weights."""
    if told:
        import torch

        from fathom.combine.networks import frame_of
        from fathom.export.published import built
        from fathom.nets.adapter import load_net

        model, module, settings = json.loads(told[0])
        net = built(module, frame_of(model, module), settings)
        return load_net(net, file, torch.device("cpu"))
    from fathom.layers.state import read_tensors
    from fathom.nets.shipped import net_of_weights

    return net_of_weights(read_tensors(file)[0], file)


if __name__ == "__main__":
    main(sys.argv[1:])
