"""What is made again for the gradient: the same numbers, moved once, and less kept."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.autograd.graph import saved_tensors_hooks

from fathom.layers import conv3d
from fathom.layers import remade as module
from fathom.layers.conv3d import ConvNorm3d, PlainResidual3d, concat_convolved, remake
from fathom.layers.remade import remade
from fathom.layers.volume import concat_volume

torch.set_num_threads(1)


def made(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def blocks():
    torch.manual_seed(0)
    return nn.Sequential(ConvNorm3d(3, 4), PlainResidual3d(4), ConvNorm3d(4, 2, 2, slope=0.1))


def after_a_step(net, run):
    """Output, gradients and buffers, of the weights and of what came in."""
    x = made(2, 3, 4, 6, 8).requires_grad_()
    out = run(net, x)
    out.square().sum().backward()
    named = {n: p.grad for n, p in net.named_parameters()}
    return {"out": out, "x": x.grad} | named | {n: b.clone() for n, b in net.named_buffers()}


RUNS = {
    "around all": lambda net, x: remade(net, x, of=net),
    "each layer": lambda net, x: (remake(net), net(x))[1],
    "in each other": lambda net, x: (remake(net), remade(net, x, of=net))[1],
    "thrice": lambda net, x: remade(lambda x: remade(net, x, of=net), x, of=net),
}


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_it_gives_the_same_gradients_and_moves_means_once(run):
    expected = after_a_step(blocks(), lambda net, x: net(x))
    found = after_a_step(blocks(), run)
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, atol=0, rtol=0, msg=name)
    counts = {n: int(b) for n, b in found.items() if n.endswith("num_batches_tracked")}
    assert len(counts) == 4 and set(counts.values()) == {1}


def test_buffers_are_the_same_tensors_afterwards_even_if_the_second_run_fails():
    """Others hold them too: DistributedDataParallel, an optimiser's average."""
    net, calls = blocks(), []

    def failing(x):
        calls.append(1)
        if len(calls) > 1:
            raise RuntimeError("of memory")
        return net(x)

    before = [b.data_ptr() for b in net.buffers()]
    out = remade(failing, made(2, 3, 4, 6, 8).requires_grad_(), of=net)
    kept = [b.clone() for b in net.buffers()]
    with pytest.raises(RuntimeError, match="of memory"):
        out.sum().backward()
    assert [b.data_ptr() for b in net.buffers()] == before
    assert all(torch.equal(a, b) for a, b in zip(kept, net.buffers(), strict=True))


def kept_values(run):
    """How many numbers a net keeps for the gradient, of those that are no weights."""
    net, sizes = blocks(), {}

    def pack(t):
        if not isinstance(t, nn.Parameter):
            sizes[t.data_ptr()] = t.numel()
        return t

    with saved_tensors_hooks(pack, lambda t: t):
        run(net, made(2, 3, 4, 6, 8).requires_grad_())
    return sum(sizes.values())


def test_what_is_kept():
    volume = 2 * 4 * 4 * 6 * 8
    assert kept_values(lambda net, x: net(x)) > 6 * volume
    assert kept_values(RUNS["each layer"]) < 4 * volume
    assert kept_values(RUNS["around all"]) <= volume


def test_dropout_falls_alike():
    net = nn.Dropout(0.5)
    x = torch.ones(1000, requires_grad=True)
    torch.manual_seed(3)
    out = remade(lambda x: net(x) * x, x, of=net)
    torch.rand(7)  # somebody else's
    out.sum().backward()
    assert torch.equal(x.grad, 2 * out.detach())


@pytest.mark.parametrize("how", ["evaluation", "no gradients", "export"])
def test_elsewhere_it_just_calls(how, monkeypatch):
    net, calls = blocks(), []
    net.train(how != "evaluation")
    monkeypatch.setattr(module, "exporting", lambda: how == "export")
    with torch.set_grad_enabled(how != "no gradients"):
        out = remade(lambda x: calls.append(1) or net(x), made(2, 3, 4, 6, 8), of=net)
        assert torch.isfinite(out).all()
        if out.requires_grad:
            out.sum().backward()
    assert len(calls) == 1


@pytest.mark.parametrize("levels", [1, 5, 8, 9, 23])
@pytest.mark.parametrize("training", [True, False])
def test_a_volume_some_levels_at_a_time(levels, training, monkeypatch):
    """Of 7 columns: beyond level 6 the volume is empty."""
    monkeypatch.setattr(conv3d, "_AT_ONCE", 4)
    own, other = made(2, 3, 4, 7), made(2, 3, 4, 7, seed=1)
    found = SimpleNamespace(whole=[], parts=[])
    for name in ("whole", "parts"):
        torch.manual_seed(0)
        layer = ConvNorm3d(6, 2).train(training)
        views = [v.clone().requires_grad_() for v in (own, other)]
        if name == "whole":
            out = layer(concat_volume(*views, levels))
        else:
            out = concat_convolved(layer, *views, levels)
        (out * made(*out.shape, seed=2)).sum().backward()
        grads = [v.grad for v in views] + [p.grad for p in layer.parameters()]
        setattr(found, name, [out, *grads, *layer.buffers()])
    for a, b in zip(found.parts, found.whole, strict=True):
        torch.testing.assert_close(a, b, atol=2e-5, rtol=1e-4)
