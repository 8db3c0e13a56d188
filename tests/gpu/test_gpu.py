"""What a GPU must do as a processor does: the default, every published net, training, one image.

Skipped without a GPU. `FATHOM_TEST_DEVICE=cpu` runs the same lines on the processor, which shows
that the tests themselves are right.
"""

import copy
import os
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import narrow_nets  # noqa: E402
from train_runs import BASE, Many  # noqa: E402

import fathom  # noqa: E402
from fathom.core.errors import ResourceError  # noqa: E402
from fathom.export.traced import dotted, sizes  # noqa: E402
from fathom.geometry.resize import crop_pair  # noqa: E402
from fathom.nets.adapter import run_net  # noqa: E402
from fathom.train import train  # noqa: E402
from fathom.train.checkpoint import read_weights  # noqa: E402

DEVICE = os.environ.get("FATHOM_TEST_DEVICE", "cuda")
pytestmark = pytest.mark.skipif(
    DEVICE == "cuda" and not torch.cuda.is_available(), reason="needs a GPU"
)


@pytest.mark.parametrize("method", ["fathom-s", "sgm-refined"])
def test_the_shipped_models_answer_as_on_the_processor(method, motorcycle):
    pair = crop_pair(motorcycle.pair, 200, 150, 192, 96)
    wanted, found = (
        fathom.create(method, device=device, max_disparity=64)(pair) for device in ("cpu", DEVICE)
    )
    apart = np.abs(found.values - wanted.values)
    assert np.nanquantile(apart, 0.99) < 0.05
    assert np.abs(found.confidence - wanted.confidence).mean() < 0.01


@pytest.mark.parametrize("name", narrow_nets.NETS)
def test_every_published_net_answers_as_on_the_processor(name):
    subject = narrow_nets.subject(name)
    given = dotted(sizes(subject.frame)[0])
    device = torch.device(DEVICE)
    wanted = subject.answers(given)["disparity"][0, 0]
    views = [given[side][0] for side in ("left", "right")]
    found, _ = run_net(copy.deepcopy(subject.net).to(device), views, device)
    apart = np.abs(found - wanted)
    assert np.median(apart) < max(0.01, 1e-3 * float(wanted.std()))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_training_and_going_on(precision, tmp_path):
    if DEVICE == "cuda" and precision == "bf16" and not torch.cuda.is_bf16_supported():
        pytest.skip("this GPU has no bfloat16")
    folder = tmp_path / "run"
    experiment = replace(BASE, precision=precision, data=lambda: Many(8), steps=6)
    done = train(experiment, folder, device=DEVICE)
    assert done.stopped == "finished" and done.skipped == 0
    tensors = read_weights(folder / "weights.safetensors")
    assert all(torch.isfinite(v).all() for v in tensors.values())
    assert all(v.device.type == "cpu" for v in tensors.values())
    again = train(experiment, folder, device=DEVICE, resume=True)
    assert again.step == done.step


def test_one_image_in_half_precision(tmp_path, motorcycle):
    import tiny_mono

    folder = tiny_mono.saved("depth_anything", tmp_path)
    view = crop_pair(motorcycle.pair, 200, 150, 96, 64).left
    half = "fp16" if DEVICE == "cuda" else "bf16"
    wanted, found = (
        fathom.create("depth-anything-v2-small", weights=str(folder), device=d, precision=p)(view)
        for d, p in (("cpu", "fp32"), (DEVICE, half))
    )
    apart = np.abs(found.values - wanted.values)
    assert np.median(apart) < 0.05 * float(wanted.values.std())


def test_a_gpu_beyond_the_last_is_one_line(motorcycle):
    pair = crop_pair(motorcycle.pair, 200, 150, 96, 64)
    with pytest.raises(ResourceError, match="is not there"):
        fathom.create("fathom-s", device="cuda:97", max_disparity=32)(pair)
