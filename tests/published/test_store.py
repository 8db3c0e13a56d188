"""Weights in fathom's own form: the same bits, self-checking, found by name."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fathom.core.errors import InputError, ResourceError, UsageError
from fathom.published import store
from fathom.published.store import (
    has_weights,
    kept_path,
    kept_paths,
    read_header,
    read_weights,
    weights_file,
    write_weights,
)

ABOUT = {"model": "tiny", "settings": {"wide": True}, "source": {"file": "a.pth"}}
TENSORS = {
    "b.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "a.count": np.array(7, np.int64),
    "c.mask": np.array([True, False, True]),
    "none": np.zeros((0, 3), np.float16),
}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """fathom's cache folder, empty; no other is looked at."""
    home = tmp_path / "cache"
    for name in ("FATHOM_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(home))
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(home))
    return home


def test_the_same_weights_give_the_same_file(tmp_path: Path) -> None:
    one, two = tmp_path / "1.safetensors", tmp_path / "2.safetensors"
    write_weights(one, TENSORS, ABOUT)
    backwards = dict(reversed(TENSORS.items()))
    write_weights(two, backwards, dict(reversed(ABOUT.items())))
    assert one.read_bytes() == two.read_bytes()
    found, kept = read_weights(one)
    assert {k: (v.dtype, v.shape, v.tolist()) for k, v in found.items()} == {
        k: (v.dtype, v.shape, v.tolist()) for k, v in TENSORS.items()
    }
    assert (kept.model, kept.settings, kept.about) == ("tiny", {"wide": True}, ABOUT)
    assert kept.bytes == one.stat().st_size and len(str(kept.sha256)) == 64


def test_the_usual_library_reads_it(tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    path = tmp_path / "a.safetensors"
    write_weights(path, TENSORS, ABOUT)
    found = load_file(path)
    assert {k: v.tolist() for k, v in found.items()} == {k: v.tolist() for k, v in TENSORS.items()}


def test_files_of_the_usual_library_are_read(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    path = tmp_path / "a.safetensors"
    save_file(TENSORS, path, metadata={"format": "pt"})
    found, kept = read_weights(path)
    assert found["b.weight"].tolist() == TENSORS["b.weight"].tolist()
    assert (kept.model, kept.sha256, kept.settings) == (None, None, {})


@settings(max_examples=30, deadline=None)
@given(
    st.dictionaries(
        st.text(max_size=8).filter(lambda name: name != "__metadata__"),
        hnp.arrays(
            st.sampled_from([np.float32, np.float64, np.int64, np.uint8, np.bool_]),
            hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
        ),
        max_size=4,
    )
)
def test_whatever_is_written_is_read(tmp_path_factory, tensors: dict) -> None:
    path = tmp_path_factory.mktemp("any") / "a.safetensors"
    write_weights(path, tensors, {})
    found, _ = read_weights(path)
    assert set(found) == set(tensors)
    for name, values in tensors.items():
        assert found[name].dtype == values.dtype and found[name].shape == values.shape
        assert found[name].tobytes() == values.tobytes()


def test_every_single_turned_bit_is_found(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    write_weights(path, TENSORS, ABOUT)
    whole = path.read_bytes()
    metadata = json.loads(whole[8 : 8 + int.from_bytes(whole[:8], "little")])["__metadata__"]
    unstated = whole.index(b'"fathom-weights"')  # the format's name alone is not in the digest
    for position in range(len(whole)):
        if unstated <= position < unstated + len('"fathom-weights"'):
            continue
        damaged = bytearray(whole)
        damaged[position] ^= 1
        path.write_bytes(bytes(damaged))
        try:
            found, kept = read_weights(path)
        except InputError:
            continue
        # a blank that became another blank, or a key without meaning: the content is what it was
        assert {k: v.tolist() for k, v in found.items()} == {
            k: v.tolist() for k, v in TENSORS.items()
        }, position
        assert kept.sha256 in (metadata["sha256"], None) and kept.about in (ABOUT, {}), position


@pytest.mark.parametrize("length", [1, 7, 8, 100, -1])
def test_a_truncated_file_is_refused_in_one_line(tmp_path: Path, length: int) -> None:
    path = tmp_path / "a.safetensors"
    write_weights(path, TENSORS, ABOUT)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(InputError, match="truncated"):
        read_header(path)


def test_bytes_after_the_end_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    write_weights(path, TENSORS, ABOUT)
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(InputError, match="bytes after its end"):
        read_weights(path)


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]},
        {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]},
        {"dtype": "F32", "shape": ["x"], "data_offsets": [0, 4]},
        {"dtype": "F32"},
        7,
    ],
)
def test_hostile_headers_are_refused(tmp_path: Path, entry: object) -> None:
    header = json.dumps({"a": entry}).encode()
    path = tmp_path / "a.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    with pytest.raises(InputError):
        read_weights(path)


def test_weights_are_found_by_name(cache: Path) -> None:
    write_weights(kept_path("tiny"), TENSORS, ABOUT)
    assert has_weights("tiny")
    assert kept_paths() == {"tiny": cache / "weights" / "tiny.safetensors"}
    assert weights_file("tiny") == kept_path("tiny")
    assert weights_file("other", "tiny") == kept_path("tiny")
    assert weights_file("other", cache / "weights" / "tiny.safetensors") == kept_path("tiny")
    with pytest.raises(UsageError, match="no name"):
        kept_path("../tiny")


def test_the_only_weights_of_a_model_need_not_be_named(cache: Path) -> None:
    write_weights(kept_path("tiny-things"), TENSORS, ABOUT)
    assert weights_file("tiny") == kept_path("tiny-things")
    assert has_weights("tiny") and not has_weights("other")
    write_weights(kept_path("tiny-more"), TENSORS, ABOUT)
    assert not has_weights("tiny")
    with pytest.raises(InputError, match=r"tiny-more or tiny-things.*--weights NAME"):
        weights_file("tiny")


@pytest.mark.parametrize("head", [b"PK\x03\x04", b"\x80\x02\x8a\nl", b"3\n1\n3\n"])
def test_the_authors_file_itself_says_how_to_convert_it(tmp_path: Path, head: bytes) -> None:
    path = tmp_path / "official.pth"
    path.write_bytes(head)
    with pytest.raises(InputError, match=r"fathom weights convert .*official\.pth --model tiny"):
        weights_file("tiny", path)


def test_weights_that_are_not_there_say_how_to_get_them(cache: Path) -> None:
    with pytest.raises(InputError, match="fathom weights convert FILE --model tiny"):
        weights_file("tiny")
    with pytest.raises(InputError, match=r"no/such\.pth: does not exist"):
        weights_file("tiny", "no/such.pth")
    (cache / "weights").mkdir(parents=True)
    (cache / "weights" / "bad.safetensors").write_bytes(b"bad")
    with pytest.raises(InputError, match="its weights are not here"):
        weights_file("tiny")


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="files have no owner here")
def test_weights_laid_there_by_somebody_else_are_not_taken(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_weights(kept_path("tiny"), TENSORS, ABOUT)
    mine = kept_path("tiny").stat().st_uid
    monkeypatch.setattr(os, "getuid", lambda: mine + 1000)
    assert ("tiny" in kept_paths()) is (mine == 0)


def test_no_place_to_keep_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "own_folder", lambda *_: None)
    with pytest.raises(ResourceError, match="no folder can be written"):
        kept_path("tiny")
