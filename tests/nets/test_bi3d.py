"""Bi3D: sizes, ranges, what it gives in training and after it, names of tensors, learning."""

import learning
import net_checks
import pytest
import torch
from net_checks import Said

from fathom.core import InputError, UsageError
from fathom.layers.planes import PlaneLoss
from fathom.layers.state import load_state
from fathom.nets.stereo.bi3d import (
    FRAMES,
    WEIGHTS,
    Bi3D,
    Bi3DBinary,
    Bi3DBinaryConfig,
    Bi3DConfig,
    Classifying,
    bi3d,
    bi3d_2d,
    bi3d_binary,
    convert,
    unconvert,
)

torch.set_num_threads(1)
SMALL = Classifying(width=6, pools=(4, 2), widths=(8, 12), canvas=16)


def built(kind="bi3d", **other):
    """A narrow net that corrects little at first: else it learns first of all to leave that."""
    torch.manual_seed(0)
    if kind == "binary":
        settings = {"planes": (9, 18, 27), "max_disparity": 48, "detail": 4, "correcting": 4}
        return Bi3DBinary(Bi3DBinaryConfig(**settings | {"classifying": SMALL} | other))
    settings = {"max_disparity": 48, "regularised": kind == "bi3d", "correcting": 4}
    net = Bi3D(Bi3DConfig(**settings | {"volume_width": 2, "classifying": SMALL} | other))
    for part in filter(None, (net.correction, net.agreement)):
        part.last.weight.data /= 100
    return net


def published(builder, **settings):
    """The net of the published size, without memory."""
    with torch.device("meta"):
        return builder(**settings)


def images(height=48, width=96, batch=1):
    return net_checks.images(height, width, batch)


@pytest.mark.parametrize(("kind", "sets"), [("bi3d", 2), ("2d", 1), ("binary", 2)])
def test_sizes_of_everything_it_gives(kind, sets):
    net = built(kind)
    given = images(48, 144, batch=2)
    taught = net(*given)
    count = 1 if kind == "binary" else 2
    assert [tuple(d.shape) for d in taught.disparities] == [(2, 1, 48, 144)] * count
    assert len(taught.inner) == sets
    for logits, planes in taught.inner:
        assert logits.shape[:2] == (2, planes.shape[1]) and planes.shape[2:] == (1, 1)
    with torch.no_grad():
        out = net.eval()(*given)
    assert out.disparities[0].shape == (2, 1, 48, 144) and out.inner is None
    if kind != "binary":
        assert out.confidence.shape == (2, 1, 48, 144)
        assert out.disparities[0].min() >= -0.5 and out.disparities[0].max() <= 48.5


@pytest.mark.parametrize("kind", ["bi3d", "2d", "binary"])
def test_a_batch_of_two_is_two_of_one(kind):
    net_checks.assert_batch_is_singles(built(kind), images(batch=2))


@pytest.mark.parametrize("kind", ["bi3d", "2d", "binary"])
def test_planes_at_once_or_a_few_at_a_time(kind):
    net_checks.assert_same_without_gradients(built(kind), images())  # gradients: all at once


@pytest.mark.parametrize("kind", ["bi3d", "2d", "binary"])
def test_every_weight_is_reached(kind):
    net = built(kind, volume_width=8) if kind == "bi3d" else built(kind)
    loss = PlaneLoss(disparity=0.0 if kind == "binary" else 1.0)
    assert net_checks.silent(net, loss, learning.batch(48, 96, 40)) == []


def test_planes_are_drawn_for_each_pair():
    net, given = built("binary", drawn=5), images(batch=3)
    planes = net(*given).inner[0][1][..., 0, 0]
    assert planes.shape == (3, 5) and (planes % 3 == 0).all()
    assert (planes.diff(dim=1) > 0).all() and planes.min() >= 3 and planes.max() <= 45
    assert not torch.equal(net(*given).inner[0][1], net(*given).inner[0][1])


def test_nearer_is_a_larger_disparity():
    """With an answering net that says how alike the two descriptions are, the plane that fits is
    found where it lies: the direction in which the right view moves."""
    net = built("2d").eval()
    net.answers.features = Said(lambda image: image[..., ::3, ::3])
    net.answers.classifier = Said(lambda laid: -(laid[:, :3] - laid[:, 3:]).abs().mean(1, True))
    right = images(48, 144)[1]
    left = right.roll(12, dims=3)  # x_left = x_right + 12
    with torch.no_grad():
        best = net.answered(left, right)[0].argmax(dim=1)
    assert (best[..., 8:] == 4).all()  # 12 px: the fourth plane after 0


def test_a_part_of_the_range_has_the_same_answers():
    whole, part = built("2d"), built("2d", min_disparity=12, max_disparity=36)
    part.load_state_dict(whole.state_dict())
    with torch.no_grad():
        answers, some = whole.eval().answered(*images())[0], part.eval().answered(*images())[0]
        out = part.selected(*images())
    torch.testing.assert_close(some, answers[:, 4:13])
    assert out.shape == (1, 4, 48, 96)
    assert out[:, 0].min() >= 11.5 and out[:, 0].max() <= 36.5
    assert out[:, 1:].min() >= 0 and out[:, 1:].max() <= 1


def test_the_confidence_is_what_lies_within_a_pixel():
    net = built("2d").eval()
    at = torch.tensor([3 * p for p in net.config.planes]).view(1, -1, 1, 1)
    logits = (4.0 * (20.5 - at)).expand(1, -1, 16, 32)  # surely nearer until 20.5 px
    net.correction = Said(lambda share, image: share)
    found = net.read(logits, images()[0])
    assert found.disparity.mean().item() == pytest.approx(20.5, abs=0.05)
    wanted = torch.sigmoid(torch.tensor(4.0)) - torch.sigmoid(torch.tensor(-4.0))
    assert found.confidence.sigmoid().mean().item() == pytest.approx(wanted.item(), abs=0.01)


@pytest.mark.parametrize(("kind", "divisor"), [("bi3d", 48), ("2d", 12), ("binary", 12)])
def test_images_it_cannot_take(kind, divisor):
    for height, width in ((50, 96), (48, 100), (6, 96)):
        with pytest.raises(InputError, match=rf"does not suit this net.* multiples of {divisor}, "):
            built(kind)(*images(height, width))


def test_the_published_sizes():
    assert Bi3DConfig().divisor == 96 and Bi3DConfig().step == 48
    assert Bi3DConfig(regularised=False).step == 3
    assert Classifying().smallest == 192 and Classifying().farthest() == 192
    counts = [
        sum(p.numel() for p in published(f).parameters()) for f in (bi3d, bi3d_2d, bi3d_binary)
    ]
    assert counts == [37176035, 36483330, 36375209]
    assert published(bi3d, max_disparity=240).config.classifying.canvas == 96
    assert published(bi3d_2d, min_disparity=12, max_disparity=48).config.planes == range(4, 17)
    assert set(FRAMES) == {"bi3d", "bi3d-2d", "bi3d-binary"}


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        ("bi3d", {"max_disparity": 45}),
        ("bi3d", {"max_disparity": 96}),
        ("2d", {"max_disparity": 40}),
        ("2d", {"min_disparity": 4}),
        ("2d", {"min_disparity": -3}),
        ("2d", {"min_disparity": 48}),
        ("binary", {"max_disparity": 51}),
        ("binary", {"max_disparity": 3}),
        ("binary", {"planes": ()}),
        ("binary", {"planes": (9, 10)}),
        ("binary", {"planes": (18, 9)}),
        ("binary", {"planes": (9, 51)}),
    ],
)
def test_ranges_it_cannot_search(kind, wrong):
    with pytest.raises(UsageError, match=r"does not suit this net|cannot be tested by this net"):
        built(kind, **wrong)


def test_configs_that_are_no_net():
    for wrong in ({"width": 0}, {"widths": ()}, {"pools": (0,)}, {"canvas": 0}):
        with pytest.raises(UsageError, match="is no net"):
            Classifying(**wrong)
    with pytest.raises(UsageError, match=r"canvas = 48: cannot be halved .* multiple of 32"):
        Classifying(canvas=48)
    for kind, wrong in (("2d", {"correcting": 0}), ("binary", {"drawn": 0})):
        with pytest.raises(UsageError, match="is no net"):
            built(kind, **wrong)


@pytest.mark.parametrize("builder", [bi3d, bi3d_2d, bi3d_binary])
def test_names_there_and_back(builder):
    state = published(builder).state_dict()
    official = unconvert(state)
    assert len(official) == len(state) and not set(official) & set(state)
    assert official.keys() >= {"segnet.deconv5_1.0.weight", "featnet.branch4.1.0.bias"}
    back = convert(official)
    assert set(back) == set(state) and all(back[k] is state[k] for k in state)


def test_another_variant_is_refused():
    official = unconvert(published(bi3d_2d).state_dict())
    with pytest.raises(InputError, match=r"agreement\.prepare.* is missing"):
        load_state(published(bi3d), convert(official), "2d.tar")
    with pytest.raises(InputError, match="weights of another net"):
        load_state(published(bi3d_binary), convert({"conv.weight": torch.zeros(1)}), "other.tar")


def test_what_is_said_of_the_published_weights():
    assert len({w.name for w in WEIGHTS}) == len(WEIGHTS) == 6
    assert {w.model for w in WEIGHTS} == {"bi3d", "bi3d-2d", "bi3d-binary"}
    assert all(w.state == "convert" for w in WEIGHTS)


LEARNING = {  # size of scenes, largest disparity, steps, share left, parameters of a narrow net
    # truth 6 px beside is two of its planes: that alone goes down to 0.28
    "bi3d": ((48, 48), 20, 22, 0.2, {"max_disparity": 48, "correcting": 6, "volume_width": 4}),
    "2d": ((24, 48), 18, 60, 0.3, {"max_disparity": 24, "correcting": 6}),
    "binary": ((24, 48), 18, 45, 0.3, {"max_disparity": 24, "planes": (9,), "drawn": 7}),
}


@pytest.mark.parametrize("kind", sorted(LEARNING))
def test_it_learns_four_scenes_and_the_check_would_notice_if_not(kind):
    size, most, steps, share, settings = LEARNING[kind]
    batch = learning.batch(*size, most)
    loss = PlaneLoss(disparity=0.0 if kind == "binary" else 1.0)
    narrow = Classifying(
        width=8, pools=(4, 2), widths=(12, 16), canvas=settings["max_disparity"] // 3
    )

    def build():
        return built(kind, classifying=narrow, **settings)

    learning.assert_learns(build, batch, loss, steps=steps, share=share)
