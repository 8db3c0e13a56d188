"""Pairs made from single pictures: the right view agrees with the truth; the mask says where."""

import numpy as np
import pytest
import torch

from fathom.core import Depth, InputError, MonoSample, RelativeDepth, UsageError, View
from fathom.data.from_photos import (
    FromPhotos,
    Photos,
    PhotoSettings,
    continued,
    pair_of_photo,
    plausible_inverse,
    right_view,
    seen_by_both,
    sharpened,
)
from fathom.io.images import encode_png
from fathom.layers.resample import warp_right

H, W = 24, 60


def picture(seed=0, smooth=False):
    rng = np.random.default_rng(seed)
    if not smooth:
        return rng.integers(1, 256, (H, W, 3), dtype=np.uint8)
    y, x = np.mgrid[:H, :W]
    waves = [128 + 100 * np.sin(x / (7 + k) + y / 9 + k) for k in range(3)]
    return np.stack(waves, -1).astype(np.uint8)


def box(near=12.0, far=3.0):
    values = np.full((H, W), far, np.float32)
    values[6:18, 25:40] = near
    return values


def warped(right, disparity):
    """The right view read at x - d."""
    image = torch.from_numpy(right.copy()).permute(2, 0, 1)[None].float()
    out, _ = warp_right(image, torch.from_numpy(disparity.copy())[None, None])
    return out[0].permute(1, 2, 0).numpy()


def test_the_right_view_read_by_the_truth_is_the_picture_wherever_both_see():
    left, truth = picture(), box()
    right, seen = right_view(left, truth)
    both = seen_by_both(truth, seen)
    np.testing.assert_array_equal(warped(right, truth)[both], left[both])
    hidden = np.zeros_like(both)
    hidden[:, :3] = True  # left of the right view
    hidden[6:18, 16:25] = True  # behind the box: 12 - 3 columns
    hidden[6:18, 24] = True
    np.testing.assert_array_equal(~both, hidden)
    holes = np.zeros_like(both)
    holes[:, -3:] = True
    holes[6:18, 28:37] = True  # right of the box's end at 39 - 12
    np.testing.assert_array_equal(np.isnan(seen), holes)


def test_a_slope_is_neither_torn_nor_rounded():
    left = picture(smooth=True)
    truth = np.broadcast_to(np.linspace(2, 2 + 0.4 * W, W, dtype=np.float32), (H, W)).copy()
    for values in (truth, truth[:, ::-1].copy()):
        right, seen = right_view(left, values)
        both = seen_by_both(values, seen)
        place = np.arange(W) - values
        inside = (place >= 1) & (place <= W - 2)
        assert both[inside].mean() > 0.97
        assert np.abs(warped(right, values)[both] - left[both]).max() < 4
        columns = np.arange(W)
        within = (columns >= place.min()) & (columns <= place.max())
        assert not np.isnan(seen[:, within]).any()


def test_unknown_pixels_are_not_moved():
    truth = box()
    truth[2] = np.nan
    right, seen = right_view(picture(), truth)
    assert np.isnan(seen[2]).all() and not right[2].any()
    assert not seen_by_both(truth, seen)[2].any()


@pytest.mark.parametrize("fill", ["texture", "edge"])
def test_a_pair_of_a_picture(fill):
    settings = PhotoSettings(0.1, 0.3, fill)
    photo, other = View(picture()), picture(5, smooth=True)
    depth = Depth(1 / box())
    factors = set()
    for seed in range(3):
        made = pair_of_photo(photo, depth, np.random.default_rng(seed), settings, other)
        most = made.truth.values.max()
        assert 0.1 * W <= most <= 0.3 * W
        factors.add(float(most))
        np.testing.assert_allclose(made.truth.values, box() * most / 12, rtol=1e-5)
        both = made.masks["nonocc"]
        read = warped(made.pair.right.image, made.truth.values)
        # between pixels the picture's noise is read twice; on the whole it is the picture
        assert both.mean() > 0.6
        assert np.corrcoef(read[both].ravel(), made.pair.left.image[both].ravel())[0, 1] > 0.6
        assert made.pair.right.image.min(2).any(1).all()  # no row is black
    assert len(factors) == 3


def test_holes_are_painted_with_what_is_farther_or_with_the_other_picture_in_its_colours():
    image = np.zeros((1, 6, 3), np.uint8)
    image[0, :, 0] = [10, 20, 0, 0, 50, 0]
    seen = np.array([[1, 1, np.nan, np.nan, 5, np.nan]], np.float32)
    assert continued(image, seen)[0, :, 0].tolist() == [10, 20, 20, 20, 50, 50]
    seen[0, 4] = 0.5
    assert continued(image, seen)[0, :, 0].tolist() == [10, 20, 50, 50, 50, 50]
    assert continued(image, np.full((1, 6), np.nan, np.float32))[0, :, 0].tolist()[4] == 50
    left = (picture() // 4 + 150).astype(np.uint8)
    made = pair_of_photo(
        View(left), Depth(1 / box()), np.random.default_rng(0), PhotoSettings(), picture(3)
    )
    _, seen = right_view(left, made.truth.values)
    holes = np.isnan(seen)
    assert holes.mean() > 0.05
    assert abs(made.pair.right.image[holes].mean() - left.mean()) < 15


def test_what_depth_of_each_kind_becomes():
    near_far = np.array([[1.0, 2.0], [4.0, np.nan]], np.float32)
    wanted = np.array([[1, 0.5], [0.25, np.nan]], np.float32)
    np.testing.assert_allclose(plausible_inverse(Depth(near_far)), wanted)
    np.testing.assert_allclose(plausible_inverse(RelativeDepth(near_far, "scale")), wanted)
    inverse = RelativeDepth(np.array([[-1.0, 0.0], [1.0, np.nan]], np.float32), "affine_inverse")
    np.testing.assert_allclose(plausible_inverse(inverse), [[0, 0.5], [1, np.nan]])
    affine = plausible_inverse(RelativeDepth(near_far - 7, "affine"))
    np.testing.assert_allclose(affine, [[1, 0.25], [0.1, np.nan]], rtol=1e-5)


def test_nothing_hangs_between_two_surfaces():
    blurred = box()
    blurred[6:18, 40] = 7.5
    found = sharpened(blurred)
    assert set(np.unique(found).tolist()) == {3.0, 12.0}
    flat = np.full((H, W), 2, np.float32)
    assert sharpened(flat) is flat


def samples(count=3):
    return [MonoSample(View(picture(i)), Depth(1 / box()), name=f"p{i}") for i in range(count)]


def test_a_source_of_samples():
    pairs = FromPhotos(samples(), seed=4)
    assert len(pairs) == 3 and pairs[1].name == "p1"
    again = FromPhotos(samples(), seed=4)[1]
    np.testing.assert_array_equal(pairs[1].pair.right.image, again.pair.right.image)
    other = FromPhotos(samples(), seed=5)[1]
    assert other.truth.values.max() != pairs[1].truth.values.max()
    asked = []

    def told(view):
        asked.append(view)
        return RelativeDepth(box(), "affine_inverse")

    given = FromPhotos(samples(), told)
    np.testing.assert_array_equal(given[0].pair.left.image, picture(0))
    assert len(asked) == 1
    with pytest.raises(InputError, match=r"has no depth.*give depth="):
        FromPhotos([MonoSample(View(picture()))])[0]


def test_pictures_of_a_folder(tmp_path):
    for i in range(2):
        (tmp_path / f"a{i}.png").write_bytes(encode_png(picture(i)))
    photos = Photos(tmp_path)
    assert photos.names == ("a0", "a1") and len(photos) == 2
    np.testing.assert_array_equal(photos[1].view.image, picture(1))
    pairs = FromPhotos(photos, lambda view: Depth(1 / box()))
    assert pairs.names == photos.names and pairs[1].truth.known.all()


def test_what_cannot_serve():
    rng = np.random.default_rng(0)
    view = View(picture())
    with pytest.raises(InputError, match="differs in size from the picture"):
        pair_of_photo(view, Depth(box()[1:]), rng, PhotoSettings(fill="edge"))
    with pytest.raises(UsageError, match=r"texture: is missing.*fill='edge'"):
        pair_of_photo(view, Depth(box()), rng)
    for values in (np.full((H, W), 3, np.float32), np.full((H, W), np.nan, np.float32)):
        with pytest.raises(InputError, match="tells nothing near from anything far"):
            pair_of_photo(view, Depth(values), rng, PhotoSettings(fill="edge"))
    for wrong in ({"least": 0.0}, {"least": 0.3, "largest": 0.2}, {"largest": 1.0}):
        with pytest.raises(UsageError, match="is no range of largest disparities"):
            PhotoSettings(**wrong)
    with pytest.raises(UsageError, match="fill"):
        PhotoSettings(fill="textures")
