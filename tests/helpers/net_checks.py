"""What the tests of all stereo nets ask alike.

net, given = built(), net_checks.images(batch=2)
net_checks.assert_batch_is_singles(net, given)
assert net_checks.silent(net, LOSS, learning.batch(32, 64, 28)) == []
net_checks.assert_names_return(psmnet(), convert, unconvert, "classif1.2.weight")
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from fathom.layers.state import load_state
from fathom.train.load import load_experiment

EXPERIMENTS = Path(__file__).parents[2] / "experiments"


class Said(torch.nn.Module):
    """A function in the place of a module."""

    def __init__(self, function: Callable) -> None:
        super().__init__()
        self.forward = function


def images(height: int = 32, width: int = 64, batch: int = 1, seed: int = 0) -> torch.Tensor:
    """Left and right, (2, b, 3, h, w), noise in 0..255."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(2, batch, 3, height, width, generator=generator) * 255


def assert_gives(net: torch.nn.Module, given: Any, taught: list[tuple], largest: float) -> None:
    """Training gives disparities of those shapes and no confidence; evaluation the first of them
    alone, within 0..largest, and a confidence."""
    out = net(*given)
    assert [tuple(d.shape) for d in out.disparities] == taught
    assert out.confidence is None
    with torch.no_grad():
        out = net.eval()(*given)
    assert [tuple(t.shape) for t in (*out.disparities, out.confidence)] == taught[:1] * 2
    assert out.disparities[0].min() >= 0 and out.disparities[0].max() <= largest


def assert_same_without_gradients(net: torch.nn.Module, given: Any) -> None:
    """Gradients kept or not, the disparity is the same."""
    plain = net.eval()(*given).disparities[0].detach()
    with torch.inference_mode():
        torch.testing.assert_close(net(*given).disparities[0], plain, atol=1e-3, rtol=0)


def assert_batch_is_singles(
    net: torch.nn.Module, given: Any, atol: float = 1e-3, rtol: float = 0.0
) -> None:
    """A batch of two is two of one."""
    with torch.no_grad():
        both = net.eval()(*given).disparities[0]
        for i in range(2):
            one = net(*(t[i : i + 1] for t in given)).disparities[0]
            torch.testing.assert_close(both[i : i + 1], one, atol=atol, rtol=rtol)


def assert_repeats(net: torch.nn.Module, given: Any) -> None:
    """The same bits again."""
    with torch.no_grad():
        first, again = (net.eval()(*given).disparities[0] for _ in range(2))
    assert torch.equal(first, again)


def assert_stands_low_precision_and_no_numbers(net: torch.nn.Module, given: Any) -> None:
    """bfloat16 comes near, in float32; images that are not numbers do not end the process."""
    left, right = given
    with torch.no_grad():
        full = net.eval()(left, right).disparities[0]
        with torch.autocast("cpu", torch.bfloat16):
            low = net(left, right).disparities[0]
        assert low.dtype == torch.float32
        assert (low - full).abs().mean() < 0.1 * full.std() + 0.1
        assert bool(torch.isnan(net(left * torch.nan, right).disparities[0]).all())


def silent(net: torch.nn.Module, loss: Callable, batch: Any) -> list[str]:
    """Names of the weights that the loss of a batch does not reach."""
    sum(loss(net(*batch.inputs), batch).values()).backward()
    return [n for n, p in net.named_parameters() if p.grad is None or not bool(p.grad.any())]


def assert_names_return(
    net: torch.nn.Module, convert: Callable, unconvert: Callable, *known: str, shared: bool = False
) -> None:
    """Names of tensors there and back. known: official ones. shared: some of ours are official."""
    state = net.state_dict()
    official = unconvert(state)
    assert len(official) == len(state) and (shared or not set(official) & set(state))
    assert official.keys() >= set(known)
    back = convert(official)
    assert set(back) == set(state) and all(torch.equal(back[k], state[k]) for k in state)


def assert_loads_without_counts(net: torch.nn.Module, convert: Callable, unconvert: Any) -> None:
    """Tensors of an old torch have no counts of batches."""
    old = {n: t for n, t in unconvert(net.state_dict()).items() if "num_batches" not in n}
    load_state(net, convert(old), "old.ckpt")


def experiment(name: str) -> Any:
    """The experiment of that name."""
    return load_experiment(EXPERIMENTS / f"{name}.py")
