"""The hub's cache without its packages, and fetching from a hub of a few lines on this machine."""

import hashlib
import http.server
import json
import shutil
import threading
import time
from importlib.util import find_spec
from typing import ClassVar

import pytest

from fathom.core.errors import InputError, MissingExtraError, ResourceError, UsageError
from fathom.published import hub
from fathom.published.hub import (
    Address,
    address,
    cache_folder,
    cached,
    fetch,
    folder_of,
    is_whole,
    origin_of,
)
from fathom.published.hub_files import wanted_files

COMMIT = "0123456789abcdef0123456789abcdef01234567"
needs_hub = pytest.mark.skipif(find_spec("huggingface_hub") is None, reason="no huggingface_hub")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.delenv("FATHOM_OFFLINE", raising=False)
    return tmp_path


def snapshot(cache, repo="someone/net", commit=COMMIT):
    folder = cache / f"models--{repo.replace('/', '--')}" / "snapshots" / commit
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"model_type": "dpt"}')
    (folder / "model.safetensors").write_bytes(b"tensors")
    return folder


def test_addresses():
    assert address("someone/net") == Address("someone/net", "main")
    assert address(f"someone/net@{COMMIT}") == Address("someone/net", COMMIT)
    assert address("someone/net@refs/pr/5") == Address("someone/net", "refs/pr/5")
    assert str(Address("someone/net", "v1")) == "someone/net@v1"
    for text in ("net", "./some/net", "a/b/c", "", "some one/net", "/some/net"):
        assert address(text) is None, text
    with pytest.raises(UsageError, match="is no revision"):
        address("someone/net@")
    with pytest.raises(UsageError, match="is no revision"):
        Address("someone/net", "../../etc")
    with pytest.raises(UsageError, match="is no repository"):
        Address("net")


def test_where_the_cache_is(monkeypatch, tmp_path):
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "huggingface" / "hub"
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    assert cache_folder() == tmp_path / "home" / "hub"
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    assert cache_folder() == tmp_path / "cache"


def test_only_what_is_whole_counts(cache):
    folder = snapshot(cache)
    pinned = Address("someone/net", COMMIT)
    assert cached(pinned) == folder and cached(Address("someone/net")) is None
    refs = folder.parents[1] / "refs"
    refs.mkdir()
    (refs / "main").write_text(COMMIT)
    assert cached(Address("someone/net")) == folder
    (folder / "model.safetensors").unlink()
    assert cached(pinned) is None
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "model-1.safetensors").write_bytes(b"1")
    assert not is_whole(folder)
    (folder / "model-2.safetensors").write_bytes(b"2")
    assert is_whole(folder)


def test_a_pipelines_parts(tmp_path):
    index = {"_class_name": "MarigoldDepthPipeline", "unet": ["diffusers", "UNet"], "extra": [None]}
    index["scheduler"] = ["diffusers", "DDIMScheduler"]
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    assert not is_whole(tmp_path)
    for part in ("unet", "scheduler"):
        (tmp_path / part).mkdir()
    (tmp_path / "unet" / "config.json").write_text("{}")
    assert not is_whole(tmp_path)
    (tmp_path / "unet" / "diffusion_pytorch_model.safetensors").write_bytes(b"x")
    assert is_whole(tmp_path)


def test_a_net_of_diffusers_alone_is_let_through(tmp_path):
    at = Address("someone/net")
    (tmp_path / "config.json").write_text('{"_class_name": "UNetSpatioTemporal"}')
    hub.check_kind(tmp_path, at)
    for text in ("{}", "[1]", "{"):
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(InputError, match="is no depth model"):
            hub.check_kind(tmp_path, at)


def test_of_pipelines_only_those_that_run(tmp_path):
    at = Address("someone/net")
    (tmp_path / "unet").mkdir()
    for kind, channels in (("FluxPipeline", 8), ("StableDiffusionPipeline", 4), (None, 8)):
        (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": kind}))
        (tmp_path / "unet" / "config.json").write_text(json.dumps({"in_channels": channels}))
        with pytest.raises(InputError, match=f"is no depth model, but {kind or 'a pipe'}"):
            hub.check_kind(tmp_path, at)
    for kind in ("MarigoldPipeline", "StableDiffusionPipeline", "StableVideoDiffusionPipeline"):
        (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": kind}))
        hub.check_kind(tmp_path, at)


def test_a_folder_is_taken_as_it_is(cache, tmp_path):
    folder = snapshot(cache)
    assert folder_of(str(folder), Address("other/net"), "x") == folder
    assert folder_of(None, Address("someone/net", COMMIT), "x") == folder
    with pytest.raises(InputError, match=r"it has no config.json and no model_index.json"):
        folder_of(str(folder.parent), Address("other/net"), "x")
    with pytest.raises(InputError, match=r"weights = 'w/typo': there is no such folder, and its w"):
        folder_of("w/typo", Address("other/net"), "x")


def test_nothing_is_fetched_offline_or_without_the_package(cache, monkeypatch):
    monkeypatch.setenv("FATHOM_OFFLINE", "1")
    with pytest.raises(ResourceError, match="FATHOM_OFFLINE is set"):
        fetch(Address("someone/net"))
    monkeypatch.delenv("FATHOM_OFFLINE")
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    with pytest.raises(MissingExtraError, match=r"fathom-depth\[mono\]"):
        fetch(Address("someone/net"))


class Server(http.server.BaseHTTPRequestHandler):
    """Two repositories: a net, and a model of language; of the net also a revision without
    tensors. Everything else is answered as the hub answers."""

    commits: tuple[str, ...] = (COMMIT,)  # the last one is what the branch "main" is
    files: ClassVar[dict[str, dict[str, bytes]]] = {
        "someone/net": {
            "config.json": b'{"model_type": "dpt"}', "model.safetensors": b"tensors",
            "pytorch_model.bin": b"a pickle",
        },
        "someone/words": {"config.json": b'{"model_type": "bert"}', "model.safetensors": b"words"},
        "someone/pickles": {"config.json": b'{"model_type": "dpt"}', "pytorch_model.bin": b"x"},
        "someone/shards": {"config.json": b'{"model_type": "dpt"}', "pytorch_model-1.bin": b"x"},
        "someone/painter": {
            "model_index.json": b'{"_class_name": "StableDiffusionPipeline"}',
            "unet/config.json": b'{"in_channels": 4}', "unet/model.safetensors": b"gigabytes",
        },
        "someone/pipeline": {
            "model_index.json": b'{"_class_name": "MarigoldDepthPipeline",'
            b'"unet": ["diffusers", "UNet"], "vae": ["diffusers", "VAE"]}',
            "whole.safetensors": b"not by parts",
            "unet/config.json": b"{}", "unet/net.safetensors": b"single",
            "unet/net.fp16.safetensors": b"half", "unet/net.non_ema.safetensors": b"other",
            "vae/config.json": b"{ }", "vae/vae.safetensors": b"single vae",
            "other/config.json": b"{}", "other/other.safetensors": b"of no part",
        },
    }  # fmt: skip
    asked: ClassVar[list[str]] = []

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def do_GET(self):
        path = self.path.partition("?")[0].removeprefix("/api/models").strip("/").split("/")
        repo, (what, revision, *rest) = "/".join(path[:2]), [*path[2:], "", ""]
        if repo == "someone/gated":
            return self.answer(403, X_Error_Code="GatedRepo")
        if repo not in self.files:
            return self.answer(404, X_Error_Code="RepoNotFound")
        if revision not in ("main", *self.commits):
            return self.answer(404, X_Error_Code="RevisionNotFound")
        commit = self.commits[-1] if revision == "main" else revision
        files = self.files[repo]
        if what == "revision":
            siblings = [{"rfilename": name} for name in files]
            about = {"id": repo, "sha": commit, "siblings": siblings}
            return self.answer(200, json.dumps(about).encode(), Content_Type="application/json")
        if what == "tree":
            rows = [
                {"type": "file", "path": n, "size": len(b), "oid": hashlib.sha1(b).hexdigest()}
                for n, b in files.items()
            ]
            return self.answer(200, json.dumps(rows).encode(), Content_Type="application/json")
        name = "/".join(rest).strip("/")
        if self.command == "GET":
            self.asked.append(name)
        tag = f'"{hashlib.sha1(files[name]).hexdigest()}"'
        return self.answer(200, files[name], ETag=tag, X_Repo_Commit=commit)

    do_HEAD = do_GET


@pytest.fixture
def server(monkeypatch):
    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{made.server_port}")
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    Server.asked.clear()
    yield made
    made.shutdown()
    made.server_close()
    thread.join()


@needs_hub
def test_fetching(cache, server):
    said = []
    folder = fetch(Address("someone/net"), said.append)
    assert folder == cached(Address("someone/net")) == cached(Address("someone/net", COMMIT))
    assert (folder / "model.safetensors").read_bytes() == b"tensors"
    assert sorted(Server.asked) == ["config.json", "model.safetensors"]  # and no pickle
    assert not any("pickle" in line for line in said)
    old = fetch(Address("someone/pickles"), said.append)
    assert old == cached(Address("someone/pickles")) and (old / "pytorch_model.bin").is_file()
    assert "opened in a process without network" in "".join(said)
    assert said and "someone/net" in said[0]


@needs_hub
def test_one_precision_of_a_pipeline_is_fetched(cache, server):
    at = Address("someone/pipeline")
    folder = fetch(at)
    single = ["model_index.json", "unet/config.json", "unet/net.safetensors", "vae/config.json",
              "vae/vae.safetensors"]  # fmt: skip
    assert sorted(Server.asked) == single and folder == cached(at)
    assert origin_of(folder) == {"repository": "someone/pipeline", "commit": COMMIT}
    assert origin_of(folder / "unet") == {"path": str(folder / "unet")}
    Server.asked.clear()
    shutil.rmtree(folder.parents[1])
    fetch(at, half=True)
    assert sorted(Server.asked) == [n.replace("net.safe", "net.fp16.safe") for n in single]


@needs_hub
def test_a_branch_stays_what_it_was_until_somebody_asks(cache, server, monkeypatch):
    branch, said = Address("someone/net"), []
    first = fetch(branch, said.append)
    assert f"held at commit {COMMIT}" in said[-1]
    newer = COMMIT[::-1]
    monkeypatch.setattr(Server, "commits", (COMMIT, newer))
    assert fetch(branch) == first == cached(branch)
    # Another program follows the branch: its cache says so, and fathom keeps to its own.
    refs = first.parents[1] / "refs" / "main"
    refs.write_text(newer)
    snapshot(cache, commit=newer)
    assert cached(branch) == first
    latest = fetch(branch, said.append, update=True)
    assert latest.name == newer and latest == cached(branch) == fetch(branch)
    # What is held and gone is told, with the way out; damage means that nothing is held.
    monkeypatch.setattr(Server, "commits", (COMMIT,))
    with pytest.raises(InputError, match=r"no such revision.*--update"):
        shutil.rmtree(latest.parents[1])
        fetch(branch)
    (cache / "fathom-revisions.json").write_text("{")
    assert fetch(branch).name == COMMIT
    pinned = Address("someone/net", COMMIT)
    assert fetch(pinned, said.append) == cached(pinned) and "held" not in said[-1]


def test_results_tell_which_commit_was_used(cache, tmp_path):
    from fathom.catalog import ENTRIES, settings
    from fathom.combine.mono import Mono

    folder = snapshot(cache)
    used = settings(Mono(weights=f"someone/net@{COMMIT}"))["weights_used"]
    assert used == {"repository": "someone/net", "commit": COMMIT}
    assert settings(Mono(weights=str(folder)))["weights_used"] == used
    assert "weights_used" not in settings(Mono())  # nothing is there
    assert all(e.hub.pinned for e in ENTRIES if e.hub is not None)


def test_which_files_a_model_is_loaded_from():
    shards = [f"net-0000{i}-of-00002.safetensors" for i in (1, 2)]
    half = [f"net.fp16-0000{i}-of-00002.safetensors" for i in (1, 2)]
    lists = ["net.safetensors.index.json", "net.safetensors.index.fp16.json"]
    every = [f"unet/{name}" for name in (*shards, *half, *lists)] + ["readme.md", "a.bin", "x.json"]
    found = [f"unet/{name}" for name in (*shards, lists[0])]
    assert wanted_files(every, ["unet"]) == sorted([*found, "x.json"])
    found = [f"unet/{name}" for name in (*half, lists[1])]
    assert wanted_files(every, ["unet"], half=True) == sorted([*found, "x.json"])
    assert wanted_files(["model.fp16.safetensors", "config.json"]) == [
        "config.json", "model.fp16.safetensors",
    ]  # fmt: skip
    assert wanted_files(["model.ema.safetensors", "sub/model.safetensors"]) == []
    pickled = ["pytorch_model.bin", "other.bin", "sub/pytorch_model.bin"]
    assert wanted_files(pickled) == pickled[:1]  # only where nothing else has the tensors
    assert wanted_files([*pickled, "model.safetensors"]) == ["model.safetensors"]
    assert wanted_files(pickled, ["sub"]) == []


@needs_hub
@pytest.mark.parametrize(
    ("repo", "revision", "problem"),
    [
        ("someone/nothing", "main", "no such repository on the hub"),
        ("someone/net", "v9", "revision = 'v9': there is no such revision"),
        ("someone/gated", "main", "accept it at https://huggingface.co/someone/gated"),
        ("someone/words", "main", "is no depth model, but bert"),
        ("someone/painter", "main", "is no depth model, but StableDiffusionPipeline with 4 chan"),
        ("someone/shards", "main", "has no weights of a model; expected config.json and"),
    ],
)
def test_what_cannot_be_fetched_is_one_line(cache, server, repo, revision, problem):
    with pytest.raises(InputError, match=problem) as caught:
        fetch(Address(repo, revision))
    assert "\n" not in str(caught.value)
    assert not any("model.safetensors" in name for name in Server.asked)


@needs_hub
@pytest.mark.parametrize("revision", ["main", COMMIT])
def test_without_a_connection(cache, server, monkeypatch, caplog, revision):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    start = time.perf_counter()
    with pytest.raises(ResourceError, match=r"the hub cannot be reached: [^;]*refused; ") as caught:
        fetch(Address("someone/net", revision))
    assert time.perf_counter() - start < 10 and not caplog.records  # tried once, and no talk of it
    assert "give --weights FOLDER" in str(caught.value)
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert not caplog.records
    with pytest.raises(ResourceError, match="HF_HUB_OFFLINE is set"):
        fetch(Address("someone/net"))


@needs_hub
def test_a_full_disk(cache, server, monkeypatch):
    import huggingface_hub

    def full(*_, **__):
        raise OSError(28, "No space left on device", "x")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", full)
    with pytest.raises(ResourceError, match="no space left"):
        fetch(Address("someone/net"))


@needs_hub
def test_by_the_command(cache, server, monkeypatch, capsys):
    from fathom.catalog import entry
    from fathom.cli.weights import run
    from fathom.workflows import weights_known
    from fathom.workflows.weights_hub import hub_target

    monkeypatch.setattr(weights_known, "_PACKAGES", ())  # no other nets need be looked at
    named = hub_target("prompt-depth-anything-small")
    assert named is not None and named[1].repo == "depth-anything/prompt-depth-anything-vits-hf"
    assert hub_target("https://someone/net") is None and hub_target("psmnet") is None
    assert run(["add", f"someone/net@{COMMIT}"]) == 0
    assert "fetched someone/net" in capsys.readouterr().out
    monkeypatch.setitem(Server.files, "Intel/dpt-large", Server.files["someone/net"])
    pinned = entry("dpt-large").hub
    assert pinned is not None and pinned.revision != "main"
    with pytest.raises(InputError, match="no such revision"):
        run(["add", "dpt-large"])  # the server knows one commit only
    assert run(["add", f"Intel/dpt-large@{COMMIT}"]) == 0
    assert "--method dpt-large" in capsys.readouterr().out
    assert run(["list", "--model", "dpt-large"]) == 0
    shown = capsys.readouterr().out
    assert "download" in shown and "Intel/dpt-large" in shown


def test_kinds_are_those_that_run():
    pytest.importorskip("torch")
    from typing import get_args

    from fathom.nets.mono.processing import Family

    assert set(hub.DEPTH_KINDS) == set(get_args(Family))
