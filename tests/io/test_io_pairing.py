"""Which files make which pair."""

import pytest

from fathom.core import InputError, UsageError
from fathom.io.pairing import find_pairs


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def names(found):
    return [(p.name, p.left.name, p.right and p.right.name) for p in found.pairs]


def test_two_files_are_one_pair(tmp_path):
    found = find_pairs(tmp_path / "a.png", str(tmp_path / "b.png"))
    assert names(found) == [("a", "a.png", "b.png")]
    assert not found.many


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (("000_10.png", "001_10.png"), ("000_10.png", "001_10.png")),
        (("left01.jpg", "left02.jpg"), ("right01.jpg", "right02.jpg")),
        (("a_L.png", "b_L.png"), ("a_R.png", "b_R.png")),
        (("im0_7.png", "im0_8.png"), ("im1_7.png", "im1_8.png")),
        (("cap 1.png", "cap 2.png"), ("shot_0001.png", "shot_0002.png")),
    ],
)
def test_two_folders_are_coupled_by_name(tmp_path, left, right):
    touch(tmp_path, *(f"left/{n}" for n in left), *(f"right/{n}" for n in reversed(right)))
    touch(tmp_path, "left/notes.txt")
    found = find_pairs(tmp_path / "left", tmp_path / "right")
    assert [(p.left.name, p.right.name) for p in found.pairs] == list(zip(left, right, strict=True))
    assert found.many
    assert not found.lonely


def test_images_without_a_partner_are_named(tmp_path):
    touch(tmp_path, "l/1.png", "l/2.png", "r/2.png", "r/3.png")
    found = find_pairs(tmp_path / "l", tmp_path / "r")
    assert names(found) == [("2", "2.png", "2.png")]
    assert [p.name for p in found.lonely] == ["1.png", "3.png"]


def test_globs_over_scenes_get_names_of_their_folders(tmp_path):
    touch(tmp_path, "s1/im0.png", "s1/im1.png", "s2/im0.png", "s2/im1.png")
    found = find_pairs(f"{tmp_path}/*/im0.png", f"{tmp_path}/*/im1.png")
    assert [p.name for p in found.pairs] == ["s1_im0", "s2_im0"]
    assert all(p.left.parent == p.right.parent for p in found.pairs)


def test_names_are_unique(tmp_path):
    touch(tmp_path, "a/x/i.png", "b/x/i.png")
    found = find_pairs(f"{tmp_path}/*/x/i.png", None)
    assert len({p.name for p in found.pairs}) == 2


def test_what_cannot_be_paired_is_said(tmp_path):
    touch(tmp_path, "l/1.png", "r/zwei.png", "empty/x.txt", "one.png")
    with pytest.raises(InputError, match="fits one of"):
        find_pairs(tmp_path / "l", tmp_path / "r")
    with pytest.raises(InputError, match="holds no image"):
        find_pairs(tmp_path / "empty", tmp_path / "r")
    with pytest.raises(InputError, match="no file fits"):
        find_pairs(f"{tmp_path}/none*.png", f"{tmp_path}/*.png")
    with pytest.raises(InputError, match="nowhere: does not exist"):
        find_pairs(tmp_path / "l", tmp_path / "nowhere")
    with pytest.raises(UsageError, match="single file and the other a folder"):
        find_pairs(tmp_path / "one.png", tmp_path / "r")
