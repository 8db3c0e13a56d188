"""Looks of scenes and samples kept on disk: the same bits in any order, and whole files or none."""

import errno
import hashlib
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from fathom.core import (
    Disparity,
    InputError,
    ResourceError,
    StereoPair,
    StereoSample,
    UsageError,
    View,
)
from fathom.data.augment import AugmentSettings
from fathom.data.looks import Kept, KeptEvidence, Looks
from fathom.data.scenes import Scenes, SceneSettings

SCENES = Scenes(SceneSettings(width=96, height=64, most_objects=12), seed=3, count=3)
LOOKS = Looks(SCENES, AugmentSettings(width=48, height=32, least_patch=4, most_patch=12), 2)
PLAIN = AugmentSettings(
    resize=0,
    flip=0,
    upside_down=0,
    color=0,
    uneven=0,
    statistics=0,
    blur=0,
    noise=0,
    tilt=0,
    hide=0,
)


def digest(sample: StereoSample) -> str:
    parts = (sample.pair.left.rgb8, sample.pair.right.rgb8, sample.truth.values)
    parts += tuple(sample.masks[k] for k in sorted(sample.masks))
    return hashlib.sha256(b"".join(p.tobytes() for p in parts)).hexdigest()


@dataclass
class Counted:
    """Random pairs that say how often they were made."""

    made: int = 0
    blind: bool = False

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> StereoSample:
        self.made += 1
        rng = np.random.default_rng(index)
        views = [View(rng.integers(0, 255, (6, 9, 3), dtype=np.uint8)) for _ in range(2)]
        truth = rng.uniform(0, 5, (6, 9)).astype(np.float32)
        truth[0, 0] = np.nan
        found = None if self.blind else Disparity(truth)
        return StereoSample(StereoPair(*views), found, name=f"p{index} ü")


def full_disk(*_) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_the_same_bits_in_any_order_and_process():
    forth = [digest(LOOKS[i]) for i in range(6)]
    assert [digest(LOOKS[i]) for i in (5, 2, 0, 3, 1, 4)] == [forth[i] for i in (5, 2, 0, 3, 1, 4)]
    assert len(set(forth)) == 6
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from test_looks import LOOKS, digest\nprint(digest(LOOKS[4]), digest(LOOKS[1]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(Path(__file__).parent)],
        capture_output=True, text=True, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.stdout.split() == [forth[4], forth[1]]


def test_names_length_and_what_is_no_look():
    assert len(LOOKS) == 6
    assert [LOOKS[i].name for i in (0, 1, 2)] == [
        "scene-3-000000-0", "scene-3-000000-1", "scene-3-000001-0",
    ]  # fmt: skip
    with pytest.raises(IndexError):
        LOOKS[6]
    with pytest.raises(TypeError, match="endless"):
        len(Looks())
    with pytest.raises(UsageError, match="each = 0: is no number of looks"):
        Looks(SCENES, each=0)


def test_a_look_without_augmentation_is_the_scene():
    look, scene = Looks(SCENES, PLAIN, 2)[3], SCENES[1]
    assert digest(look) == digest(replace(scene, masks={"nonocc": scene.masks["nonocc"]}))


def test_a_mirrored_look_has_the_right_view_s_truth():
    full = SCENES.full(2)
    look = Looks(SCENES, replace(PLAIN, flip=1.0), 1)[2]
    np.testing.assert_array_equal(look.pair.left.image, full.right[:, ::-1])
    np.testing.assert_array_equal(look.truth.values, full.disparity_right[:, ::-1])
    np.testing.assert_array_equal(look.masks["nonocc"], full.seen_right[:, ::-1])


def test_what_is_kept_is_what_was_made_and_is_made_once(tmp_path):
    samples = Counted()
    kept = Kept(samples, tmp_path)
    first, again = kept[2], kept[2]
    assert samples.made == 1 and len(kept) == 4
    for found in (first, again):
        assert digest(found) == digest(Counted()[2]) and found.name == "p2 ü"
    assert [p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.npz")] == [
        "0000/0000002.npz"
    ]
    assert digest(Kept(Counted(), tmp_path)[2]) == digest(first)


def test_what_has_no_truth_is_not_kept(tmp_path):
    with pytest.raises(InputError, match=r"truth = 'p1 ü': has no true disparity"):
        Kept(Counted(blind=True), tmp_path)[1]
    assert not list(tmp_path.iterdir())


def damages(path: Path):
    whole = path.read_bytes()
    yield whole[: len(whole) // 2]
    yield whole[:40]
    yield b"not an archive"
    yield bytes(255 - b for b in whole[:-60]) + whole[-60:]
    middle = len(whole) // 2
    yield whole[:middle] + bytes(64) + whole[middle + 64 :]


def test_a_damaged_sample_is_named(tmp_path):
    kept = Kept(Counted(), tmp_path)
    kept[0]
    path = tmp_path / "0000" / "0000000.npz"
    for damage in damages(path):
        path.write_bytes(damage)
        with pytest.raises(
            InputError, match=r"0000000\.npz: is no kept sample.*made again"
        ) as caught:
            kept[0]
        assert "\n" not in str(caught.value)
    np.savez(path, left=1)
    with pytest.raises(InputError, match=r"0000000\.npz"):
        kept[0]
    path.write_bytes(b"")
    with pytest.raises(InputError, match=r"0000000\.npz: is empty"):
        kept[0]
    path.unlink()
    assert digest(kept[0]) == digest(Counted()[0])


def test_a_full_disk_leaves_nothing_half_written(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", full_disk)
    evidence = KeptEvidence(lambda pair: np.zeros((1, 6, 9), np.float32), tmp_path / "e", "x")
    for job in (lambda: Kept(Counted(), tmp_path / "s")[1], lambda: evidence(Counted()[1].pair)):
        with pytest.raises(ResourceError, match="cannot be written: no space left"):
            job()
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]


def test_evidence_is_kept_by_the_pair_s_content(tmp_path):
    calls = []

    def make(pair):
        calls.append(pair)
        return np.stack([pair.left.rgb8[..., 0] / 7, pair.right.rgb8[..., 1] / 3]).astype(
            np.float32
        )

    kept = KeptEvidence(make, tmp_path, "sevenths")
    pairs = [Counted()[i].pair for i in (0, 1)]
    first = [kept(p) for p in pairs]
    again = [kept(p) for p in pairs]
    assert len(calls) == 2 and len(list(tmp_path.rglob("*.npy"))) == 2
    for a, b, pair in zip(first, again, pairs, strict=True):
        assert a.dtype == b.dtype == np.float32
        np.testing.assert_array_equal(a, b)  # the first time, too, in half precision
        np.testing.assert_allclose(a, make(pair), rtol=1e-3)
    KeptEvidence(make, tmp_path, "other settings")(pairs[0])
    swapped = StereoPair(pairs[0].right, pairs[0].left)
    kept(swapped)
    assert len(list(tmp_path.rglob("*.npy"))) == 4


def test_damaged_evidence_is_named(tmp_path):
    kept = KeptEvidence(lambda pair: np.ones((1, 6, 9), np.float32), tmp_path, "x")
    pair = Counted()[0].pair
    kept(pair)
    (path,) = tmp_path.rglob("*.npy")
    whole = path.read_bytes()
    for damage in (whole[:-9], whole[:30], b"PK\x03\x04 garbage", b"\x80\x04K\x01."):
        path.write_bytes(damage)
        with pytest.raises(InputError, match=r"\.npy: is no kept evidence.*made again"):
            kept(pair)
    path.unlink()
    assert float(kept(pair).min()) == 1
