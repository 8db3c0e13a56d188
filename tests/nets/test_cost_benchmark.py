"""benchmarks/networks.py: every variant can be built, called and counted, and is what it says."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from fathom.nets.mono.cspn import CSPN, CSPNConfig

REPOSITORY = Path(__file__).resolve().parents[2]
SMALL = {"mc-cnn-accurate": (4, 24), "mc-cnn-fast": (4, 24)}
MOVES = ("igev-12", "raft-stereo", "raft-stereo-alt", "raft-stereo-shared")
BESIDE = {
    # of two rows the one that computes less, and the one that computes more
    "bi3d-binary": "bi3d-quantized",
    "bi3d-selective": "bi3d-2d",
    "raft-stereo-shared": "raft-stereo",
    "raft-stereo": "raft-stereo-alt",
    "mc-cnn-fast": "mc-cnn-accurate",
}


@pytest.fixture(scope="module")
def networks() -> Iterator[ModuleType]:
    sys.path.insert(0, str(REPOSITORY))
    try:
        from benchmarks import networks

        yield networks
    finally:
        sys.path.remove(str(REPOSITORY))


@pytest.fixture(scope="module")
def work(networks):
    """Thousand million multiply-adds of each variant and what it is compared with, small."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    names = {*networks.VARIANTS, *BESIDE, *BESIDE.values()}
    iterations = dict.fromkeys(MOVES, 2)
    found = {
        name: networks.gigamacs(name, SMALL.get(name, (64, 96)), iterations.get(name))
        for name in sorted(names)
    }
    torch.set_num_threads(threads)
    return found


def test_every_net_of_the_project_has_a_row(networks):
    import fathom

    shown = {e.name for e in fathom.entries("stereo") if e.converted}
    assert len(shown) > 20
    assert shown | {"cspn", "spn"} <= set(networks.variants())


@pytest.mark.slow
def test_every_variant_is_called_and_counted(networks, work):
    assert all(work[name] is not None and work[name] > 0 for name in networks.VARIANTS), work


@pytest.mark.slow
@pytest.mark.parametrize("less", sorted(BESIDE))
def test_a_variant_computes_less_or_more_than_what_it_is_a_variant_of(work, less):
    assert work[less] < work[BESIDE[less]]


def test_iterations(networks):
    with FakeTensorMode():
        own = {n: networks.built(n, (64, 96))[0].config.iterations for n in ("igev-12", "igev")}
        asked = networks.built("igev-12", (64, 96), 5)[0].config.iterations
    assert own == {"igev-12": 12, "igev": 32} and asked == 5
    with FakeTensorMode(), pytest.raises(SystemExit, match="psmnet has no iterations"):
        networks.built("psmnet", (64, 96), 3)


def test_what_is_compared_with_the_authors_has_a_row(networks):
    assert set(networks.REFERENCE) <= set(networks.variants())


def test_a_row_of_the_table(networks, monkeypatch):
    narrow = CSPNConfig(width=8, blocks=(1, 1, 1, 1))
    monkeypatch.setattr(networks.cspn, "cspn", lambda: CSPN(narrow))
    told = argparse.Namespace(size="64x32", rounds=1, threads=1, iterations=None)
    threads = torch.get_num_threads()
    row = networks.measured("cspn", told)
    torch.set_num_threads(threads)
    assert row["cpu_s"] > 0 and row["size"] == "64x32" and row["gmacs"] > 0
    net, size = networks.built("cspn", (32, 64))
    assert size == (32, 64) and row["parameters"] == sum(p.numel() for p in net.parameters())
    image, hints = networks.image_and_hints(32, 64)
    assert image.shape == (1, 3, 32, 64) and hints.shape == (1, 1, 32, 64)
    assert 0 < (hints > 0).float().mean() < 1
    text = networks.table([row], compared=True)
    assert "| `cspn` | 64x32 |" in text and "| 17.7 |" in text and "| 2287 |" in text
