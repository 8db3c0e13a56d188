"""`fathom weights`: list, convert, add, verify, with two tiny nets instead of the real ones."""

import hashlib
import http.server
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from fathom import weights as shipped_models
from fathom.published.store import read_header, read_weights, write_weights
from fathom.published.unpickle import Foreign
from fathom.workflows import weights_known


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder; the nets are two tiny ones; nothing is shipped."""
    for name in ("FATHOM_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "cache"))
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path / "cache"))
    monkeypatch.delenv("FATHOM_OFFLINE", raising=False)
    monkeypatch.setattr(weights_known, "_PACKAGES", ("tiny_nets", "no_such_package"))
    monkeypatch.setattr(shipped_models, "HOME", tmp_path / "shipped")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def in_this_process(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Foreign files are opened here, but for the tests marked otherwise: a process takes seconds.

    tests/published/test_unpickle.py tests the process.
    """
    if request.node.get_closest_marker("slow"):
        return
    from fathom.published import child, unpickle

    def opened(file, path, seconds):
        try:
            state, wrapper = child.weights_in(child._load(torch, file))
        except Exception as error:
            told = child.refusal(error)
            raise unpickle._refused(path, told["refused"], told["text"]) from error
        return wrapper, state

    monkeypatch.setattr(unpickle, "_opened_apart", opened)


def official(path: Path, wide: bool = False, seed: int = 0, two: bool = False) -> Path:
    """What the authors of the tiny net published."""
    from tiny_nets.tiny import tiny, tiny_two, unconvert

    torch.manual_seed(seed)
    state = unconvert((tiny_two() if two else tiny(wide=wide)).state_dict())
    torch.save({"state_dict": {f"module.{k}": v for k, v in state.items()}, "epoch": 1}, path)
    return path


def names(home: Path) -> list[str]:
    folder = home / "cache" / "weights"
    return sorted(p.name for p in folder.iterdir()) if folder.exists() else []


def test_list_tells_three_licences_and_the_state(fathom_command, home: Path) -> None:
    done = fathom_command("weights", "list")
    assert done.code == 0
    assert (
        "tiny-things    convert       4 kB  code MIT, weights CC-BY-4.0, data: things" in done.out
    )
    assert "tiny-wide-web  download" in done.out and "the authors' repository" in done.out
    official(home / "things.pth")
    assert fathom_command("weights", "convert", "things.pth").code == 0
    rows = json.loads(fathom_command("weights", "list", "--model", "tiny", "--json").out)
    assert [(r["name"], r["state"]) for r in rows] == [
        ("tiny-things", "ready"), ("tiny-wide-web", "download"),
    ]  # fmt: skip
    assert rows[0]["licences"] == {
        "code": "MIT", "weights": "CC-BY-4.0", "data": "things: research only",
    }  # fmt: skip
    assert rows[0]["source"] == "things.pth" and Path(rows[0]["path"]).is_file()
    done = fathom_command("weights", "list", "--model", "tinny")
    assert done.code == 2 and "did you mean tiny" in done.error
    done = fathom_command("weights", "list", "--model", "psmnet-cspn")
    assert done.code == 0 and "none were published" in done.out
    assert "experiments/psmnet_cspn.py" in done.out
    assert fathom_command("weights", "list", "--model", "psmnet-cspn", "--json").out == "[]\n"


def test_what_fits_no_net_is_compared_with_each_once(
    fathom_command, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fathom.published import convert

    built, build = [], convert.net_without_memory
    monkeypatch.setattr(
        convert, "net_without_memory", lambda *net: built.append(str(net)) or build(*net)
    )
    torch.save({"encoder.0.weight": torch.zeros(4, 3, 3, 3)}, home / "nearly.pth")
    done = fathom_command("weights", "convert", "nearly.pth")
    assert done.code == 3 and "for tiny, the nearest, there are" in done.error
    assert len(built) == len(set(built)) == 3


@pytest.mark.slow
def test_convert_through_the_real_process(fathom_command, home: Path) -> None:
    official(home / "things.pth")
    done = fathom_command(
        "weights", "convert", "things.pth", "--model", "tiny", "-o", "m.safetensors"
    )
    assert done.code == 0, done.err
    assert "in a process without network" in done.err
    tensors, kept = read_weights(home / "m.safetensors")
    assert kept.about["prefix"] == "state_dict.module."
    assert tensors["enter.weight"].shape == (4, 3, 3, 3)


def test_convert_writes_what_create_reads(fathom_command, home: Path) -> None:
    path = official(home / "official.pth", wide=True)
    words = ("weights", "convert", path, "--model", "tiny", "-o", "mine.safetensors", "--json")
    done = fathom_command(*words)
    assert done.code == 0, done.err
    told = json.loads(done.out)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert told["source"] == {
        "file": "official.pth", "sha256": digest, "bytes": path.stat().st_size,
    }  # fmt: skip
    assert (told["model"], told["settings"], told["name"]) == ("tiny", {"wide": True}, None)
    from tiny_nets.tiny import tiny

    from fathom.layers.state import load_state, read_tensors

    net = tiny(wide=True)
    load_state(net, read_tensors("mine.safetensors")[0], "mine.safetensors")
    torch.manual_seed(0)
    assert torch.equal(net.enter.weight, tiny(wide=True).enter.weight)
    first = (home / "mine.safetensors").read_bytes()
    assert fathom_command(*words).code == 0
    assert (home / "mine.safetensors").read_bytes() == first
    assert names(home) == []


def test_the_files_own_name_and_the_given_one_choose_the_record(fathom_command, home: Path) -> None:
    official(home / "things.pth")
    done = fathom_command("weights", "convert", "things.pth")
    assert done.code == 0 and "taken for tiny-things" in done.err
    assert "--method tiny --weights tiny-things" in done.out
    official(home / "other.pth", wide=True)
    done = fathom_command("weights", "convert", "other.pth", "--json")
    told = json.loads(done.out)
    assert told["name"] == "tiny" and told["licences"]["code"] == "MIT"
    assert told["licences"]["weights"] == "unknown"  # the records of tiny do not agree
    assert names(home) == ["tiny-things.safetensors", "tiny.safetensors"]


def test_other_peoples_nets_are_named(fathom_command, home: Path) -> None:
    official(home / "two.pth", two=True)
    done = fathom_command("weights", "convert", "two.pth", "--model", "tiny")
    assert done.code == 3 and "--model tiny-two" in done.error
    assert names(home) == []
    assert fathom_command("weights", "convert", "two.pth").code == 0
    done = fathom_command("weights", "convert", "two.pth", "--model", "tini")
    assert done.code == 2 and "did you mean tiny" in done.error


@pytest.mark.parametrize("content", [b"<html>quota", b"junk", b"", b"PK\x03\x04 cut"])
def test_what_is_no_weights_is_one_line(fathom_command, home: Path, content: bytes) -> None:
    (home / "a.pth").write_bytes(content)
    done = fathom_command("weights", "convert", "a.pth")
    assert done.code == 3 and "a.pth" in done.error
    assert names(home) == []


def test_a_hostile_file_is_one_line(fathom_command, home: Path) -> None:
    class Hostile:
        def __reduce__(self):
            return (os.system, ("touch owned",))

    torch.save({"state_dict": Hostile()}, home / "a.pth")
    done = fathom_command("weights", "convert", "a.pth", "--json")
    assert done.code == 3 and "opening it would run code" in done.error
    assert json.loads(done.out)["error"]["exit_code"] == 3
    assert not (home / "owned").exists()


def test_nothing_of_the_users_is_overwritten(fathom_command, home: Path) -> None:
    official(home / "a.pth")
    (home / "mine.safetensors").write_bytes(b"precious")
    for output in ("mine.safetensors", "a.pth"):
        before = (home / output).read_bytes()
        done = fathom_command("weights", "convert", "a.pth", "-o", output)
        assert done.code == 4 and "would be overwritten" in done.error
        assert (home / output).read_bytes() == before
    done = fathom_command("weights", "convert", "a.pth", "-o", home)
    assert done.code == 4 and "is a folder" in done.error


def test_other_weights_of_the_same_name_are_not_lost(fathom_command, home: Path) -> None:
    official(home / "a.pth", seed=1)
    official(home / "b.pth", seed=2)
    assert fathom_command("weights", "add", "a.pth").code == 0
    assert fathom_command("weights", "add", "a.pth").code == 0
    done = fathom_command("weights", "add", "b.pth")
    assert done.code == 2 and "from a.pth" in done.error and "--replace" in done.error
    assert fathom_command("weights", "add", "b.pth", "--replace").code == 0
    assert read_header(home / "cache/weights/tiny.safetensors").about["source"]["file"] == "b.pth"
    assert fathom_command("weights", "add", "a.pth", "--name", "second").code == 0
    done = fathom_command("weights", "add", "a.pth", "--name", "../second")
    assert done.code == 2 and "is no name" in done.error


def test_the_hash_that_was_asked_for(fathom_command, home: Path) -> None:
    path = official(home / "a.pth")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert fathom_command("weights", "add", path, "--sha256", digest.upper()).code == 0
    done = fathom_command("weights", "add", path, "--sha256", "0" * 64)
    assert done.code == 3 and "is not the file that was published" in done.error
    done = fathom_command("weights", "add", path, "--name", "tiny-wide-web")
    assert done.code == 3 and "expected aaaaaaaaaaaaaaaa" in done.error


def test_what_was_converted_can_be_added_elsewhere(fathom_command, home: Path) -> None:
    official(home / "things.pth", wide=True)
    out = ("-o", "m.safetensors")
    assert fathom_command("weights", "convert", "things.pth", *out).code == 0
    assert fathom_command("weights", "add", "m.safetensors").code == 0
    about = read_header(home / "cache/weights/tiny-things.safetensors").about
    assert about["source"]["file"] == "things.pth" and about["settings"] == {"wide": True}
    assert about["licences"]["weights"] == "CC-BY-4.0"


def test_a_damaged_file_gets_no_new_hash(fathom_command, home: Path, server: "Server") -> None:
    path = home / "m.safetensors"
    official(home / "things.pth")
    assert fathom_command("weights", "convert", "things.pth", "-o", path).code == 0
    whole = path.read_bytes()
    path.write_bytes(whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:])
    server.content = path.read_bytes()
    for words in (("add", path), ("add", server.url), ("convert", path, "-o", "n.safetensors")):
        done = fathom_command("weights", *words)
        assert done.code == 3 and "sha256" in done.error and "is damaged" in done.error
    assert names(home) == [] and not (home / "n.safetensors").exists()


def test_verify_finds_what_is_damaged(fathom_command, home: Path) -> None:
    done = fathom_command("weights", "verify")
    assert done.code == 0 and "nothing is shipped or kept" in done.out
    official(home / "a.pth")
    assert fathom_command("weights", "add", "a.pth").code == 0
    done = fathom_command("weights", "verify")
    assert done.code == 0
    assert done.out == "good  tiny: size, sha256, finite values, names and shapes\n"
    path = home / "cache/weights/tiny.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    done = fathom_command("weights", "verify", "tiny", "--json")
    assert done.code == 1 and "is damaged" in json.loads(done.out)[0]["problem"]
    path.write_bytes(whole[:100])
    done = fathom_command("weights", "verify", path)
    assert done.code == 1 and done.out.startswith("bad   ")
    assert "damaged" in fathom_command("weights", "list").out
    done = fathom_command("weights", "verify", "tinny")
    assert done.code == 3 and "weights that are here (tiny)" in done.error


def test_verify_compares_with_the_net(fathom_command, home: Path) -> None:
    about = {"model": "tiny", "settings": {"no_such": 1}}
    tensors = {"enter.weight": np.ones((1, 2), np.float32)}
    write_weights("a.safetensors", tensors, about)
    done = fathom_command("weights", "verify", "a.safetensors")
    assert done.code == 0 and "names" not in done.out  # settings of another version of the net
    write_weights("a.safetensors", tensors, {"model": "tiny"})
    done = fathom_command("weights", "verify", "a.safetensors")
    assert done.code == 1 and "does not fit tiny: " in done.out and "enter.weight 1x2" in done.out
    write_weights("a.safetensors", {"a": np.array([np.inf], np.float32)}, {})
    done = fathom_command("weights", "verify", "a.safetensors")
    assert done.code == 1 and "not finite" in done.out


def test_shipped_models_are_listed_and_verified(fathom_command, home: Path) -> None:
    folder = home / "shipped" / "fathom-s"
    folder.mkdir(parents=True)
    for name in (shipped_models.MODEL, shipped_models.WEIGHTS):
        (folder / name).write_bytes(b"model")
    card = shipped_models.make_card(
        folder, "fathom-s", "Apache-2.0", divisor=32, max_disparity=192, trained_on="our scenes"
    )
    (folder / shipped_models.CARD).write_text(json.dumps(card))
    row = json.loads(fathom_command("weights", "list", "--json").out)[0]
    assert (row["name"], row["state"], row["bytes"]) == ("fathom-s", "ready", 5)
    assert row["licences"] == {"code": "Apache-2.0", "weights": "Apache-2.0", "data": "our scenes"}
    assert fathom_command("weights", "verify").out == "good  fathom-s: sha256\n"
    (folder / shipped_models.MODEL).write_bytes(b"other")
    done = fathom_command("weights", "verify")
    assert done.code == 1 and "sha256" in done.out
    (folder / shipped_models.CARD).write_text("{")
    assert json.loads(fathom_command("weights", "list", "--json").out)[0]["state"] == "damaged"


def test_without_torch_shipped_ones_are_listed(
    fathom_command, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib.util

    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "torch" else found(name, *a)
    )
    done = fathom_command("weights", "list")
    assert done.code == 0 and "fathom-depth[torch]" in done.err
    done = fathom_command("weights", "convert", "a.pth")
    assert done.code == 2 and "torch is not installed" in done.error


class Server(http.server.ThreadingHTTPServer):
    """Serves one file; the first time only a part of it."""

    daemon_threads = True
    content = b""
    cut = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/wide.pth"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").rstrip("-"))
        content = self.server.content
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.send_header("ETag", '"1"')
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        rest = content[start:]
        self.wfile.write(rest[: len(rest) // 2] if self.server.cut else rest)
        self.server.cut = False

    def log_message(self, *_: object) -> None:
        """Nothing is said."""


@pytest.fixture
def server(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("time.sleep", lambda _: None)
    with Server(("127.0.0.1", 0), Handler) as found:
        thread = threading.Thread(target=found.serve_forever, args=(0.01,))
        thread.start()
        yield found
        found.shutdown()
        thread.join()


def test_add_downloads_converts_and_keeps(fathom_command, home: Path, server: Server) -> None:
    server.content = official(home / "wide.pth", wide=True).read_bytes()
    digest = hashlib.sha256(server.content).hexdigest()
    done = fathom_command("weights", "add", server.url, "--sha256", digest)
    assert done.code == 0, done.err
    about = read_header(home / "cache/weights/tiny.safetensors").about
    assert about["source"]["url"] == server.url and about["source"]["file"] == "wide.pth"
    assert names(home) == ["tiny.safetensors"]
    done = fathom_command("weights", "add", server.url, "--name", "again")
    assert done.code == 0 and f"what came has {digest}" in done.err


def test_a_download_is_not_repeated_for_another_model(
    fathom_command, home: Path, server: Server
) -> None:
    server.content = official(home / "two.pth", two=True).read_bytes()
    done = fathom_command("weights", "add", server.url, "--model", "tiny")
    assert done.code == 3 and "--model tiny-two" in done.error and server.url in done.error
    server.content = b""
    done = fathom_command("weights", "add", server.url, "--model", "tiny-two")
    assert done.code == 0 and "\nlicences  unknown\n" in done.out
    assert names(home) == ["tiny-two.safetensors"]


def test_a_web_page_in_the_place_of_weights_leaves_nothing(
    fathom_command, home: Path, server: Server
) -> None:
    server.content = b"<!doctype html>Quota exceeded"
    done = fathom_command("weights", "add", server.url)
    assert done.code == 3 and "is a web page" in done.error and server.url in done.error
    assert names(home) == []


def test_add_by_name_uses_the_known_address_and_hash(
    fathom_command, home: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tiny_nets import tiny

    server.content = official(home / "wide.pth", wide=True).read_bytes()
    record = tiny.WEIGHTS[1]
    object.__setattr__(record, "url", server.url)
    try:
        done = fathom_command("weights", "add", "tiny-wide-web")
        assert done.code == 3 and "is not the file that was published" in done.error
        object.__setattr__(record, "sha256", hashlib.sha256(server.content).hexdigest())
        done = fathom_command("weights", "add", "tiny-wide-web")
        assert done.code == 0, done.err
    finally:
        object.__setattr__(record, "url", "https://example.org/wide.pth")
        object.__setattr__(record, "sha256", "a" * 64)
    assert names(home) == ["tiny-wide-web.safetensors"]


def test_add_refuses_what_it_cannot_get(
    fathom_command, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = fathom_command("weights", "add", "tiny-things")
    assert done.code == 3 and "the authors' repository: things.pth" in done.error
    done = fathom_command("weights", "add", "nothing")
    assert done.code == 3 and "does not exist" in done.error
    done = fathom_command("weights", "add", "file:///etc/passwd")
    assert done.code == 2 and "is no address" in done.error
    done = fathom_command("weights", "add", "https://example.org/a", "--timeout", "0")
    assert done.code == 2 and "timeout" in done.error
    monkeypatch.setenv("FATHOM_OFFLINE", "1")
    done = fathom_command("weights", "add", "https://example.org/a.pth")
    assert done.code == 4 and "FATHOM_OFFLINE is set" in done.error
    assert names(home) == []


def test_a_full_disk_is_one_line(
    fathom_command, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno

    official(home / "a.pth")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    done = fathom_command("weights", "convert", "a.pth", "-o", "m.safetensors")
    assert done.code == 4 and "no space left" in done.error
    assert not (home / "m.safetensors").exists()


def test_help_and_unknown_parts(fathom_command) -> None:
    assert "examples:" in fathom_command("weights").out
    for part in ("list", "convert", "add", "verify"):
        with pytest.raises(SystemExit) as ended:
            fathom_command("weights", part, "--help")
        assert ended.value.code == 0
    done = fathom_command("weights", "lst")
    assert done.code == 2 and "did you mean list" in done.error


def test_foreign_says_what_it_is() -> None:
    assert Foreign({}, "", "0" * 64, 1, {}).metadata == {}
