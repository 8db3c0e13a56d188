"""The same batch whoever loads it, and samples that fail are named and replaced."""

import os
import signal
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from train_runs import BASE, Endless, Many, sample

from fathom.core import InputError, MonoSample, ResourceError, UsageError
from fathom.train.batches import ATTEMPTS, Batches, loaded, name_of, parted
from fathom.train.pairs import Arrays, to_batch

SMALL = replace(BASE, steps=6, batch=4, workers=0)


def arrays_of(batches, first=0):
    return [a for _, a in loaded(batches, first)]


def assert_same(a: Arrays, b: Arrays):
    assert a.names == b.names
    for name in ("left", "right", "truth"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


def test_workers_ranks_and_where_one_begins_do_not_matter():
    alone = arrays_of(Batches(SMALL, Many(7)))
    assert len(alone) == 6
    for first in (0, 4):
        workers = arrays_of(Batches(replace(SMALL, workers=2), Many(7)), first)
        for a, b in zip(alone[first:], workers, strict=True):
            assert_same(a, b)
    parts = [arrays_of(Batches(SMALL, Many(7), rank, 2)) for rank in (0, 1)]
    for whole, one, two in zip(alone, *parts, strict=True):
        assert whole.names == one.names + two.names
        np.testing.assert_array_equal(whole.truth, np.concatenate([one.truth, two.truth]))


def test_another_seed_is_another_order_and_other_crops():
    a, b = (arrays_of(Batches(replace(SMALL, seed=s), Many(7))) for s in (0, 1))
    assert [x.names for x in a] != [x.names for x in b]


def test_every_sample_once_an_epoch():
    names = [n for a in arrays_of(Batches(replace(SMALL, steps=7), Many(7))) for n in a.names]
    for epoch in range(4):
        assert sorted(names[7 * epoch : 7 * epoch + 7]) == [f"s{i}" for i in range(7)]


def test_endless_data_is_asked_for_each_index_once():
    names = [n for a in arrays_of(Batches(SMALL, Endless())) for n in a.names]
    assert names == [f"s{i}" for i in range(24)]


@dataclass(frozen=True)
class SometimesBroken:
    def __getitem__(self, index):
        if index < 24 and index % 5 == 2:
            raise OSError("no such scene")
        return sample(index)


def test_endless_data_replaces_what_fails():
    found = arrays_of(Batches(SMALL, SometimesBroken()))
    names = [n for a in found for n in a.names]
    assert len(set(names)) == 24 and "s2" not in names
    failures = [f for a in found for f in a.failures]
    assert failures[0] == "sample 2: OSError('no such scene')" and len(failures) == 5


@pytest.mark.parametrize("workers", [0, 1])
def test_broken_samples_are_named_and_replaced_the_same_way(workers):
    data = Many(7, broken=(3,), blind=(5,))
    one, two = (arrays_of(Batches(replace(SMALL, workers=workers), data)) for _ in range(2))
    for a, b in zip(one, two, strict=True):
        assert_same(a, b)
        assert not {"s3", "s5"} & set(a.names)
        assert a.failures == b.failures
    failures = {f for a in one for f in a.failures}
    assert failures == {
        "s3: s3.png: is damaged",
        "s5: truth: has no true disparity; expected a disparity map",
    }


def test_nothing_but_broken_samples_ends_the_run_with_one_line():
    batches = Batches(replace(SMALL, workers=1), Many(3, broken=(0, 1, 2)))
    with pytest.raises(InputError) as caught:
        arrays_of(batches)
    text = str(caught.value)
    assert f"{ATTEMPTS} samples in a row" in text and "is damaged" in text and "\n" not in text


@dataclass(frozen=True)
class Wrong:
    what: object

    def __getitem__(self, index):
        if isinstance(self.what, BaseException):
            raise self.what
        return self.what


def test_views_and_nonsense_are_no_stereo_samples():
    view = MonoSample(sample(0).pair.left)
    for what in (view, None):
        with pytest.raises(InputError, match="is no stereo sample"):
            arrays_of(Batches(SMALL, Wrong(what)))


def test_too_little_memory_for_a_sample_is_said():
    with pytest.raises(ResourceError, match="not enough memory to load"):
        arrays_of(Batches(SMALL, Wrong(MemoryError())))


class Killer:
    def __len__(self):
        return 5

    def __getitem__(self, index):
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.filterwarnings("ignore")
def test_a_killed_worker_is_one_line_and_not_a_hang():
    with pytest.raises(ResourceError, match=r"was killed.*--resume"):
        arrays_of(Batches(replace(SMALL, workers=1), Killer()))


def test_other_runtime_errors_are_not_mistaken_for_it(monkeypatch):
    import fathom.train.batches as module

    class Broken:
        def __init__(self, *args, **kwargs):
            pass

        def __iter__(self):
            return self

        def __next__(self):
            raise RuntimeError("something else")

    monkeypatch.setattr(module, "DataLoader", Broken)
    with pytest.raises(RuntimeError, match="something else"):
        arrays_of(Batches(SMALL, Many(3)))


def test_only_truths_in_range_are_taught():
    class Ramp:
        def __getitem__(self, index):
            found = sample(index)
            values = np.tile(np.arange(40, dtype=np.float32) - 5, (20, 1))
            return replace(found, truth=replace(found.truth, values=values))

    wide = replace(SMALL, crop_width=40, crop_height=20, max_disparity=10.0, augment=None)
    truth = Batches(wide, Ramp())[0].truth
    known = truth[np.isfinite(truth)]
    assert known.min() == 0 and known.max() == 9
    nothing = replace(wide, max_disparity=1e-6)

    class Far(Ramp):
        def __getitem__(self, index):
            found = super().__getitem__(index)
            return replace(found, truth=replace(found.truth, values=found.truth.values + 6))

    with pytest.raises(InputError, match="no pixel of the window has a truth"):
        arrays_of(Batches(nothing, Far()))


def test_small_images_are_repeated_at_the_border_and_not_taught_there():
    tall = replace(SMALL, crop_width=64, crop_height=32, augment=None)
    found = Batches(tall, Endless())[0]
    assert found.left.shape == (4, 32, 64, 3)
    np.testing.assert_array_equal(found.left[0, :20, :40], sample(0).pair.left.image)
    assert (found.left[:, 20:, :40] == found.left[:, 19:20, :40]).all()
    assert np.isnan(found.truth[:, 20:]).all() and np.isnan(found.truth[:, :, 40:]).all()
    assert np.isfinite(found.truth[:, :20, :40]).all()


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 1000), st.integers(2, 12), st.integers(1, 5))
def test_left_and_right_are_cut_alike(step, width4, height4):
    """The right view shifted by the truth is the left one, wherever the window lies."""
    cut = replace(SMALL, crop_width=4 * width4, crop_height=4 * height4, augment=None)
    found = Batches(cut, Endless())[step]
    for i in range(4):
        d = int(np.nanmax(found.truth[i]))
        wide = min(4 * width4, 40)
        np.testing.assert_array_equal(found.left[i, :, d:wide], found.right[i, :, : wide - d])


def test_evidence_goes_along_and_must_be_finite():
    def half(pair):
        return np.ones((2, pair.shape[0] // 2, pair.shape[1] // 2), np.float32)

    experiment = replace(SMALL, evidence=half)
    arrays = Batches(experiment, Endless())[0]
    assert arrays.evidence.shape == (4, 2, 4, 8)
    batch = to_batch(arrays, torch.device("cpu"), channels_last=False)
    assert len(batch.inputs) == 3 and batch.inputs[2].shape == (4, 2, 4, 8)
    bad = replace(SMALL, evidence=lambda pair: half(pair) * np.nan)
    with pytest.raises(InputError, match=r"evidence = \(2, 4, 8\): is no finite map"):
        arrays_of(Batches(bad, Endless()))


def test_a_batch_on_the_device():
    arrays = Batches(SMALL, Many(7, sparse=True))[0]
    for last in (False, True):
        batch = to_batch(arrays, torch.device("cpu"), channels_last=last)
        assert batch.left.is_contiguous(
            memory_format=torch.channels_last if last else torch.contiguous_format
        )
        assert batch.left.dtype == torch.float32 and batch.left.max() > 100
        assert torch.equal(
            batch.left[0, :, 2, 3].to(torch.uint8), torch.tensor(arrays.left[0, 2, 3])
        )
        assert (batch.truth[~batch.valid] == 0).all() and not batch.valid.all()
        assert torch.isfinite(batch.truth).all()


def test_a_part_is_held_out_by_name():
    many = Many(200)
    train, held = parted(many, 0.25)
    assert set(train.names).isdisjoint(held.names)
    assert len(train) + len(held) == 200 and 30 <= len(held) <= 70
    assert held[0].name == held.names[0]
    assert name_of(held, 0) == held.names[0]
    # More samples move none from one part to the other.
    more_train, more_held = parted(Many(300), 0.25)
    assert set(train.names) <= set(more_train.names) and set(held.names) <= set(more_held.names)


@given(st.integers(2, 12), st.floats(1e-9, 1, exclude_max=True))
def test_neither_part_is_ever_empty(count, share):
    train, held = parted(Many(count), share)
    assert len(train) and len(held) and len(train) + len(held) == count


def test_endless_and_single_samples_cannot_be_held_out():
    for data in (Endless(), Many(1)):
        with pytest.raises(UsageError, match="two or more samples with names"):
            parted(data, 0.1)
