"""An encoder of transformers in a stereo net: frozen or not, from a folder, offline, learning."""

import learning
import pytest
import torch
from net_checks import images, silent

from fathom.core import InputError, MissingExtraError, UsageError
from fathom.nets import backbone
from fathom.nets.backbone import Backbone, BackboneConfig
from fathom.nets.stereo.gwcnet import GwcNet, GwcNetConfig
from fathom.train import StereoLoss

torch.set_num_threads(1)
LOSS = StereoLoss(weights=(1.0, 0.7, 0.5, 0.5))
TINY = (
    ("hidden_size", 16), ("num_hidden_layers", 2), ("num_attention_heads", 2), ("mlp_ratio", 2),
    ("image_size", 28), ("patch_size", 14),
)  # fmt: skip


def config(**other):
    return BackboneConfig(**{"settings": TINY, "beside": 8, **other})


def built(**other):
    torch.manual_seed(0)
    net = GwcNetConfig(
        16, groups=10, concat=2, width=4, blocks=(1, 1, 1, 1), backbone=config(**other)
    )
    return GwcNet(net)


def of_encoder(names):
    return [n for n in names if n.startswith("features.backbone.encoder.")]


@pytest.mark.parametrize("frozen", [True, False])
def test_gradients_reach_the_encoder_only_if_it_is_not_frozen(frozen):
    net, batch = built(frozen=frozen).train(), learning.batch(32, 32, 14)
    unreached = silent(net, LOSS, batch)
    everything = of_encoder(dict(net.named_parameters()))
    # nothing is masked here, and the class token goes nowhere
    idle = {"mask_token"} if not frozen else {n.rpartition(".")[2] for n in everything}
    assert {n.rpartition(".")[2] for n in of_encoder(unreached)} <= idle
    assert not set(unreached) - set(everything)
    assert len(of_encoder(unreached)) == len(everything) if frozen else len(everything) > 20
    encoder = net.features.backbone.encoder
    assert all(p.requires_grad is not frozen for p in encoder.parameters())
    assert encoder.training is not frozen and net.features.backbone.join.training
    assert any(n.startswith("features.backbone.encoder") for n in net.state_dict())


def test_maps_at_a_quarter_of_any_size():
    net = Backbone(config(), 20).eval()
    with torch.no_grad():
        for height, width in ((32, 48), (28, 56)):
            given = images(height, width)[0]
            assert net(given).shape == (1, 20, height // 4, width // 4)
    other = (("num_channels", 3), ("hidden_sizes", [4, 8, 8, 8]), ("depths", [1, 1, 1, 1]))
    net = Backbone(BackboneConfig(kind="convnext", settings=other), 20).eval()
    with torch.no_grad():
        assert net(images(32, 64)[0]).shape == (1, 20, 8, 16)


def test_from_a_local_folder_its_weights_as_they_are(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    torch.manual_seed(7)
    given = Backbone(config(), 4).encoder
    given.save_pretrained(tmp_path)
    net = built(settings=(), folder=str(tmp_path))
    kept = net.features.backbone.encoder.state_dict()
    assert all(torch.equal(kept[n], t) for n, t in given.state_dict().items())
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(InputError, match="cannot be loaded by transformers"):
        built(settings=(), folder=str(tmp_path))
    from safetensors.torch import save_file

    few = {k: v.contiguous() for k, v in kept.items() if "layer.1." not in k}
    save_file(few, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match=r"lacks \d+ of the encoder's tensors"):
        built(settings=(), folder=str(tmp_path))


def test_what_is_no_backbone(tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"holds no encoder.*config\.json"):
        built(folder=str(tmp_path))
    with pytest.raises(UsageError, match="is no backbone of transformers"):
        built(kind="dinov")
    with pytest.raises(UsageError, match="beside"):
        BackboneConfig(beside=0)
    monkeypatch.setattr(backbone.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="mono"):
        built()


def test_it_learns_four_scenes():
    left = learning.left_over(built, learning.batch(32, 32, 14), LOSS, steps=16)
    assert left < 0.3
