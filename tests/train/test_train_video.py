"""Depth and motion from video through the one loop: conventions, batches, loss, what is refused."""

import math
from dataclasses import replace

import cv2
import net_checks
import numpy as np
import pytest
import torch

from fathom.core import InputError, UsageError, View
from fathom.data.clips import Moment, Moments, read_clip
from fathom.data.scenes.sequence import SequenceSettings, sequence
from fathom.layers.photometric_distance import Distance
from fathom.layers.reprojection import rigid, seen_after
from fathom.nets.mono.depth_and_motion import DepthAndMotion, MotionOutput, parts
from fathom.nets.mono.monodepth2 import (
    Monodepth2,
    Monodepth2Config,
    PoseCNN,
    PoseConfig,
    PoseNet,
    depth_of,
    motion,
)
from fathom.train import Experiment, train, video_loss
from fathom.train.batches import Batches
from fathom.train.checkpoint import read_weights
from fathom.train.experiment import Judging
from fathom.train.step import culprits
from fathom.train.video import FrameBatch, Video
from fathom.train.video_loss import VideoLoss
from fathom.train.video_validate import VideoValidation, way_error

torch.set_num_threads(1)
CPU = torch.device("cpu")
WIDTH, HEIGHT = 96, 64
TINY = ((1, 1, 1, 1), (4, 4, 8, 8))


def net(offsets=(-1, 1)):
    torch.manual_seed(0)
    depth = Monodepth2(Monodepth2Config(18, *TINY, (4, 4, 4, 8, 8), classes=0))
    pose = PoseNet(PoseConfig(18, *TINY, 8, classes=0)) if offsets else None
    return DepthAndMotion(depth, pose, offsets)


@pytest.fixture(scope="module")
def clip():
    scene = replace(SequenceSettings().scene, width=WIDTH, height=HEIGHT)
    return sequence(11, SequenceSettings(scene=scene, frames=4), 3)


def experiment(clip, **changes):
    plain = Experiment(
        net=net,
        data=lambda: Moments([clip]),
        task=Video(flip=0.0, jitter=0.0),
        loss=VideoLoss(),
        steps=2,
        batch=2,
        crop_width=WIDTH,
        crop_height=HEIGHT,
        learning_rate=1e-3,
        warmup=0,
        threads=1,
        channels_last=False,
    )
    return replace(plain, **changes)


def rng():
    return np.random.default_rng(0)


def batch_of(clip, offsets=(-1, 1), **task):
    chosen = experiment(clip, task=Video(**{"flip": 0.0, "jitter": 0.0, **task}))
    arrays = Batches(chosen, Moments([clip], offsets))[0]
    assert not isinstance(arrays, Exception), arrays
    return chosen.task.to_batch(arrays, CPU, False)


def truth_of(clip, names):
    """Exact depth (b, 1, h, w), the sky far away."""
    depths = [clip.depths[int(name[-4:])] for name in names]
    return torch.from_numpy(np.nan_to_num(np.stack(depths), nan=1e4))[:, None]


def warp_error(clip, batch, motions, n):
    seen, inside = seen_after(
        batch.sources[:, n], truth_of(clip, batch.names), batch.intrinsics, motions
    )
    return float((seen - batch.image).abs().mean(1, keepdim=True)[inside].median())


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_exact_depth_and_motion_explain_rendered_frames(clip, flip):
    batch = batch_of(clip, stereo=True, unit=1.0, flip=flip)
    moments = {m.name: m for m in Moments([clip])}
    true = np.stack([moments[name].motions for name in batch.names])
    truth = truth_of(clip, batch.names)
    if flip:  # seen in a mirror
        mirror = np.diag([-1.0, 1, 1, 1])
        true = mirror @ true @ mirror
        truth = truth.flip(3)
    motions = torch.cat([torch.from_numpy(true).float(), batch.fixed], dim=1)
    for n in range(3):
        still = (batch.sources[:, n] - batch.image).abs().median()
        seen, inside = seen_after(batch.sources[:, n], truth, batch.intrinsics, motions[:, n])
        error = (seen - batch.image).abs().mean(1, keepdim=True)[inside].median()
        assert error < 0.5 * still
        for wrong in (torch.linalg.inv(motions[:, n]), torch.eye(4).expand(2, 4, 4)):
            seen, _ = seen_after(batch.sources[:, n], truth, batch.intrinsics, wrong)
            assert (seen - batch.image).abs().mean(1, keepdim=True)[inside].median() > 1.5 * error


def test_the_loss_is_least_for_the_truth(clip):
    batch = batch_of(clip)
    moments = {m.name: m for m in Moments([clip])}
    true = torch.from_numpy(np.stack([moments[n].motions for n in batch.names])).float()
    depth = truth_of(clip, batch.names).clamp(0.11, 99)
    sigmoid = (1 / depth - 0.01) / 9.99
    torch.testing.assert_close(depth_of(sigmoid), depth)
    loss = VideoLoss(noise=0.0, smoothness=0.0)

    def of(sigmoid, motions):
        return float(loss(MotionOutput((sigmoid,), motions), batch)["photometric"])

    best = of(sigmoid, true)
    wrong = (
        (sigmoid, torch.linalg.inv(true)),
        (sigmoid.flip(2), true),
        (torch.full_like(sigmoid, float(sigmoid.median())), true),
    )
    assert all(best < of(*given) for given in wrong)
    off = replace(loss, automask=False)
    plain = off(MotionOutput((sigmoid,), torch.linalg.inv(true)), batch)["photometric"]
    assert plain > of(sigmoid, torch.linalg.inv(true))  # the mask takes the frames as they are


def test_all_switches_of_the_loss_give_gradients(clip):
    batch = batch_of(clip, stereo=True)
    output = net().train()(*batch.inputs)
    for loss in (
        VideoLoss(),
        VideoLoss(full_size=False),
        VideoLoss(minimum=False, automask=False, distance=Distance("sad")),
    ):
        terms = loss(output, batch)
        assert terms.keys() == {"photometric", "smoothness"}
        found = torch.autograd.grad(
            sum(terms.values()), (*output.sigmoids, output.motions), retain_graph=True
        )
        assert all(bool(g.any()) and bool(torch.isfinite(g).all()) for g in found)


def slow_view(source, depth, k, motion):
    """The source from this place, pixel by pixel, linear, the border repeated."""
    height, width = depth.shape
    out = np.empty(source.shape)
    for y, x in np.ndindex(height, width):
        moved = motion[:3, :3] @ (depth[y, x] * np.linalg.solve(k, (x, y, 1))) + motion[:3, 3]
        u, v, far = k @ moved
        u, v = np.clip(u / far, 0, width - 1), np.clip(v / far, 0, height - 1)
        i, j = min(int(v), height - 2), min(int(u), width - 2)
        a, b = v - i, u - j
        rows = [(1 - b) * source[:, r, j] + b * source[:, r, j + 1] for r in (i, i + 1)]
        out[:, y, x] = (1 - a) * rows[0] + a * rows[1]
    return out


@pytest.mark.parametrize("minimum", [True, False])
@pytest.mark.parametrize("automask", [True, False])
@pytest.mark.parametrize("full_size", [True, False])
def test_the_loss_against_plain_loops(minimum, automask, full_size):
    rng = np.random.default_rng(2)
    image, *sources = views = rng.uniform(0, 255, (3, 3, 6, 8))
    k = np.array([[7.0, 0, 3.1], [0, 6.0, 2.2], [0, 0, 1]])
    maps = [rng.uniform(0.1, 0.4, (6 >> s, 8 >> s)) for s in range(2)]
    motions = torch.tensor(rng.normal(0, 0.05, (2, 6)))
    motions = rigid(motions[:, :3], motions[:, 3:])
    want = 0.0
    for sigmoid in maps:
        shown, at, d = views, k, sigmoid
        if full_size:
            d = cv2.resize(sigmoid, (8, 6), interpolation=cv2.INTER_LINEAR)
        elif len(sigmoid) == 3:  # the mean of four pixels; the corner of the image stays
            shown = views.reshape(3, 3, 3, 2, 4, 2).mean((3, 5))
            half = np.array([[0.5, 0, -0.25], [0, 0.5, -0.25], [0, 0, 1]])
            at = half @ k
        target, *others = shown
        moved = [
            slow_view(o, 1 / (0.01 + 9.99 * d), at, m)
            for o, m in zip(others, motions.numpy(), strict=True)
        ]
        join = np.min if minimum else np.mean
        errors, still = (
            join([abs(v - target).mean(0) / 255 for v in some], axis=0) for some in (moved, others)
        )
        want += (np.minimum(errors, still) if automask else errors).mean() / 2
    t = [torch.tensor(v)[None] for v in (image, np.stack(sources), k)]
    batch = FrameBatch(t[0], t[1], t[0], t[1], t[2], torch.zeros(1, 0, 4, 4).double(), ("a",))
    loss = VideoLoss(Distance("sad"), 0.0, minimum, automask, full_size, noise=0.0)
    output = MotionOutput(tuple(torch.tensor(m)[None, None] for m in maps), motions[None])
    assert float(loss(output, batch)["photometric"]) == pytest.approx(want, rel=1e-9)


@pytest.mark.parametrize("minimum", [True, False])
def test_large_batches_keep_little_and_give_the_same(clip, monkeypatch, minimum):
    batch = batch_of(clip, stereo=True)
    given = net().train()(*batch.inputs)
    found = []
    for large in (math.inf, 1):
        monkeypatch.setattr(video_loss, "_LARGE", large)
        leaves = [t.detach().requires_grad_() for t in (*given.sigmoids, given.motions)]
        kept = []
        torch.manual_seed(3)  # of the noise
        with torch.autograd.graph.saved_tensors_hooks(
            lambda t, kept=kept: kept.append(t.numel()) or t, lambda t: t
        ):
            loss = VideoLoss(minimum=minimum)
            total = sum(loss(MotionOutput(tuple(leaves[:-1]), leaves[-1]), batch).values())
        found.append((sum(kept), total, *torch.autograd.grad(total, leaves)))
    assert found[1][0] < 0.2 * found[0][0]
    for plain, sparing in zip(found[0][1:], found[1][1:], strict=True):
        torch.testing.assert_close(sparing, plain)


def test_smoothness_has_the_papers_weights(clip):
    batch = batch_of(clip)
    maps = tuple(torch.rand(2, 1, HEIGHT >> s, WIDTH >> s) for s in range(2))
    still = torch.eye(4).expand(2, 2, 4, 4)
    one, two = (
        VideoLoss(smoothness=w)(MotionOutput(maps, still), batch)["smoothness"] for w in (1e-3, 1.0)
    )
    assert one == pytest.approx(1e-3 * float(two))
    alone = [VideoLoss()(MotionOutput((m,), still), batch)["smoothness"] for m in maps]
    assert one == pytest.approx(float(alone[0] + alone[1] / 2) / 2, rel=1e-4)


@pytest.mark.parametrize("build", [lambda: PoseNet(PoseConfig(18, *TINY, 8, classes=0)), PoseCNN])
def test_motions_are_those_of_the_estimator(build):
    """T of (frame, next) as `combine.monodepth2.Motion` makes it of the same net's answer; of the
    frame before, the inverse of (before, frame)."""
    torch.manual_seed(0)
    pose = build().eval()
    both = DepthAndMotion(net().depth, pose).eval()
    image, before, after = 255 * torch.rand(3, 1, 3, HEIGHT, WIDTH)
    with torch.no_grad():
        found = both(image, torch.stack([before, after], dim=1)).motions[0].double().numpy()
        for n, pair in enumerate(((before, image), (image, after))):
            told = motion(pose)(*pair).double().numpy()
            wanted = np.eye(4)
            wanted[:3, :3], wanted[:3, 3] = cv2.Rodrigues(told[:3])[0], told[3:]
            if n == 0:
                wanted = np.linalg.inv(wanted)
            np.testing.assert_allclose(found[n], wanted, atol=1e-6)


def test_what_the_nets_see_may_be_coloured_but_not_what_is_compared(clip):
    plain, coloured = batch_of(clip), batch_of(clip, jitter=1.0)
    assert torch.equal(plain.image, coloured.image) and torch.equal(plain.sources, coloured.sources)
    assert torch.equal(plain.seen, plain.image) and not torch.equal(coloured.seen, coloured.image)
    assert torch.equal(plain.neighbours, plain.sources)
    changed = (coloured.neighbours - plain.neighbours).mean((0, 1, 3, 4))
    assert bool((changed.abs() < 80).all()) and bool(changed.abs().max() > 0.5)


def test_intrinsics_follow_the_size(clip):
    chosen = experiment(clip, crop_width=192, crop_height=64)
    cut = chosen.task.cut(chosen, Moments([clip])[0], "m", rng())
    assert cut.frames.shape == (3, 64, 192, 3)
    assert cut.intrinsics[0, 0] == pytest.approx(2 * clip.camera.fx)
    assert cut.intrinsics[0, 2] == pytest.approx(2 * (clip.camera.cx + 0.5) - 0.5)
    assert cut.intrinsics[1, 2] == pytest.approx(clip.camera.cy)
    flipped = replace(chosen.task, flip=1.0).cut(chosen, Moments([clip])[0], "m", rng())
    np.testing.assert_array_equal(flipped.frames, cut.frames[:, :, ::-1])
    assert flipped.intrinsics[0, 2] == pytest.approx(191 - cut.intrinsics[0, 2])


@pytest.mark.parametrize(
    ("stereo", "offsets"), [(False, (-1, 1)), (True, ()), (True, (-1, 1))], ids=["m", "s", "ms"]
)
def test_it_trains_through_the_one_loop(clip, tmp_path, stereo, offsets):
    lines = []

    def judged():
        return Moments([clip], offsets)

    chosen = experiment(
        clip,
        net=lambda: net(offsets),
        data=judged,
        task=Video(stereo=stereo),
        validation=(VideoValidation("seen", judged, most=1),),
        log_every=1,
    )
    result = train(chosen, tmp_path / "run", device="cpu", notify=lines.append)
    numbers = result.scores["seen"]
    assert 0 < numbers["abs-rel"] < 3 and 0 < numbers["constant"] < 3
    assert ("way" in numbers) == bool(offsets)
    assert any(line.startswith("step 2/2  loss ") and "EPE" not in line for line in lines)
    page = (tmp_path / "run" / "log.html").read_text()
    assert "photometric" in page or "loss" in page
    depth, pose = parts(read_weights(tmp_path / "run" / "best.safetensors"))
    net(offsets).depth.load_state_dict(depth)
    assert bool(pose) == bool(offsets)


def test_a_frame_that_breaks_the_loss_is_named(clip):
    batch = batch_of(clip)
    batch.image[1, 0, 0, 0] = math.nan
    assert culprits(net(), experiment(clip), batch) == [batch.names[1]]
    one = batch.part(slice(0, 1))
    assert isinstance(one, FrameBatch) and one.names == batch.names[:1] and len(one.fixed) == 1


def test_ways_are_compared_by_their_direction():
    there = np.eye(4)
    there[:3, 3] = (0, 0, 2)
    aside = np.eye(4)
    aside[:3, 3] = (0.01, 0, 0.01)
    assert way_error(there, there) == 0
    assert way_error(aside, there) == pytest.approx(45)
    assert way_error(np.linalg.inv(there), there) == pytest.approx(180)
    assert way_error(np.eye(4), there) == 180 and math.isnan(way_error(there, np.eye(4)))


def test_what_cannot_be_learned_from(clip, unchecked):
    moment = Moments([clip])[0]
    chosen = experiment(clip)
    stereo = Video(stereo=True)
    with pytest.raises(InputError, match="is no frame with neighbours"):
        Video().cut(chosen, moment.view, "m", rng())
    with pytest.raises(InputError, match="has no right view"):
        stereo.cut(chosen, replace(moment, right=None), "m", rng())
    with pytest.raises(InputError, match="view = '7, 7, 7': is of one colour"):
        flat = View(np.full_like(moment.view.image, 7))
        Video().cut(chosen, replace(moment, view=flat), "m", rng())
    with pytest.raises(InputError, match="has no neighbour"):
        Video().cut(chosen, replace(moment, neighbours=()), "m", rng())
    cuts = [Video(flip=0.0).cut(chosen, m, "m", rng()) for m in (moment, Moments([clip], (1,))[0])]
    with pytest.raises(InputError, match="have different numbers of neighbours"):
        Video().stacked(cuts, ())
    with pytest.raises(InputError, match="is no output of a net of depth and motion"):
        Video().output((moment,))
    for values, words in (
        ({"flip": 1.5}, "is no share"),
        ({"unit": 0.0}, "is no unit"),
    ):
        with pytest.raises(UsageError, match=words):
            Video(**values)
    with pytest.raises(UsageError, match="is no weight"):
        VideoLoss(smoothness=-1)
    with pytest.raises(UsageError, match="is no number of samples"):
        VideoValidation("seen", list, most=0)
    with pytest.raises(UsageError, match="need a net of the motion"):
        DepthAndMotion(net().depth, None)


def test_judging_nothing_is_an_error(clip):
    validation = VideoValidation("seen", lambda: [])
    lines = []
    with pytest.raises(InputError, match="no sample could be judged"):
        Video().validate(validation, Broken(), Judging(net(), experiment(clip), CPU, lines.append))
    assert lines == ["validation seen: left out sample 0: is damaged"]
    over = Judging(net(), experiment(clip), CPU, lines.append, lambda: True)
    asked = Video().validate(validation, Broken(), over)
    assert asked is None


class Broken:
    """One frame that cannot be read."""

    def __len__(self):
        return 1

    def __getitem__(self, index) -> Moment:
        raise InputError("is damaged")


def test_the_experiments_are_the_papers():
    paper, small = net_checks.experiment("monodepth2"), net_checks.experiment("monodepth2_small")
    assert paper.steps == round(20 * 39810 / paper.batch) and paper.batch == 12
    assert (paper.optimiser, paper.learning_rate, paper.schedule) == ("adam", 1e-4, "step")
    assert (paper.crop_width, paper.crop_height) == (640, 192)
    assert paper.loss == small.loss == VideoLoss() and paper.task == Video()
    for name in ("monodepth2", "monodepth2_small"):
        pairs, both = (net_checks.experiment(f"{name}_{k}") for k in ("stereo", "both"))
        assert pairs.task.stereo and both.task.stereo and not pairs.net.args[0]
        assert len(both.validation) == len(pairs.validation)


def test_a_folder_without_clips_is_said_to_be_one(tmp_path, monkeypatch):
    monkeypatch.setenv("FATHOM_CLIPS", str(tmp_path))
    with pytest.raises(InputError, match=r"holds no clip; expected folders with left/ and calib"):
        net_checks.experiment("monodepth2").data()


def test_it_runs_on_real_frames(shared, tmp_path):
    """KITTI's clip, a test of the path only: two steps, and a validation by its true way."""
    real = read_clip(shared / "data" / "video" / "kitti_odometry")
    assert len(real) == 51 and real.baseline == pytest.approx(0.537, abs=0.001)

    def some():
        return Moments([real], end=4)

    chosen = experiment(
        real,
        data=some,
        task=Video(stereo=True),
        validation=(VideoValidation("clip", some, most=1),),
    )
    result = train(chosen, tmp_path / "run", device="cpu")
    assert result.stopped == "finished" and result.scores["clip"].keys() == {"way", "right-way"}
