"""`checkpoint=True` of nets that convolve volumes: the same numbers, and less memory at once."""

import net_checks
import pytest
import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode

from fathom.nets.stereo.gc_net import GCNet, GCNetConfig, gc_net
from fathom.nets.stereo.gwcnet import GwcNet, GwcNetConfig, gwcnet, gwcnet_g
from fathom.nets.stereo.psmnet import PSMNet, PSMNetConfig, psmnet, psmnet_basic
from fathom.nets.stereo.ssmnet import SsSMnet, SsSMnetConfig, ssmnet

torch.set_num_threads(1)
ONE = (1, 1, 1, 1)
NETS = {
    "gc_net": lambda on: GCNet(GCNetConfig(32, 8, 1, checkpoint=on)),
    "psmnet": lambda on: PSMNet(PSMNetConfig(True, 32, 8, ONE, (8, 4), checkpoint=on)),
    "psmnet_basic": lambda on: PSMNet(PSMNetConfig(False, 32, 8, ONE, (8, 4), checkpoint=on)),
    "gwcnet": lambda on: GwcNet(GwcNetConfig(32, 8, 4, 8, ONE, checkpoint=on)),
    "ssmnet": lambda on: SsSMnet(SsSMnetConfig(32, 8, 1, 3, checkpoint=on)),
}


class Alive(TorchDispatchMode):
    """The most bytes that tensors made while it is open held at one time."""

    def __init__(self):
        super().__init__()
        self.most, self.known = 0, {}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, (tuple, list)) else [out]:
            if isinstance(tensor, Tensor):
                storage = tensor.untyped_storage()
                self.known[storage._cdata] = StorageWeakRef(storage), storage.nbytes()
        self.known = {k: v for k, v in self.known.items() if not v[0].expired()}
        self.most = max(self.most, sum(size for _, size in self.known.values()))
        return out


def a_step(net):
    """What a step leaves behind, and the most that it held."""
    with Alive() as alive:
        out = net(*net_checks.images(32, 64, batch=2))
        sum(d.square().mean() for d in (*out.disparities, *out.right)).backward()
    found = {f"disparity {i}": d.detach() for i, d in enumerate((*out.disparities, *out.right))}
    found |= {name: p.grad for name, p in net.named_parameters()}
    return found | dict(net.named_buffers()), alive.most


MOST = {"gc_net": 0.8, "psmnet": 0.75, "psmnet_basic": 0.9, "gwcnet": 0.65, "ssmnet": 0.45}


@pytest.mark.parametrize("name", NETS)
def test_the_same_step_in_less_memory(name):
    found = []
    for on in (False, True):
        torch.manual_seed(0)
        found.append(a_step(NETS[name](on)))
    (plain, before), (again, after) = found
    assert plain.keys() == again.keys()
    for key, tensor in plain.items():
        scale = float(tensor.abs().max()) if tensor.is_floating_point() else 0.0
        torch.testing.assert_close(again[key], tensor, atol=1e-4 * scale, rtol=1e-3, msg=key)
    assert after < MOST[name] * before


@pytest.mark.parametrize("builder", [gc_net, psmnet, psmnet_basic, gwcnet, gwcnet_g, ssmnet])
def test_builders_pass_it_on(builder):
    with torch.device("meta"):
        assert not builder().config.checkpoint
        assert builder(checkpoint=True).config.checkpoint
