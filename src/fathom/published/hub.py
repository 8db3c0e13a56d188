"""Weights on the hub (huggingface.co): what its cache here holds, and fetching on request.

The cache is the hub's own, shared with every other program that uses it: HF_HUB_CACHE, else `hub`
in HF_HOME, else `huggingface/hub` in the user's cache folder. Looking into it needs no package and
no network. Nothing is fetched unless `fetch` is called, which `fathom weights add` does.

https://huggingface.co/docs/huggingface_hub/guides/manage-cache describes the cache's folders.
"""

import json
import logging
import os
import re
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from fathom.core.errors import FathomError, InputError, MissingExtraError, ResourceError, UsageError
from fathom.io.files import resource_error
from fathom.published.download import OFFLINE, is_offline
from fathom.published.hub_files import (
    PICKLE,
    TENSORS,
    parts_of_pipeline,
    pickle_in,
    wanted_files,
)
from fathom.published.hub_held import COMMIT, held, hold

_TENSORS = f"*{TENSORS}"
_REPO = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_REVISION = re.compile(r"[\w][\w./-]*")
_HEADS = ("config.json", "model_index.json")
DEPTH_KINDS = (
    "depth_anything", "depth_pro", "dpt", "glpn", "prompt_depth_anything", "zoedepth",
)  # fmt: skip
"""`model_type` of the nets of transformers that fathom runs."""
_PIPELINES = ("MarigoldDepthPipeline", "MarigoldPipeline", "StableVideoDiffusionPipeline")
"""Pipelines of diffusers that fathom runs, or whose parts it does (the last one's). The class of
`_ALSO` it runs if its U-Net sees an image beside the noise, in eight channels."""
_ALSO, _UNET, _CHANNELS = "StableDiffusionPipeline", "unet/config.json", 8
_PATIENCE = 30.0
"""Seconds to wait for the hub's first answer."""


@dataclass(frozen=True)
class Address:
    """A repository of the hub at one revision: a commit, or a branch such as "main".

    Raises `UsageError` for names that are none.
    """

    repo: str
    revision: str = "main"

    def __post_init__(self) -> None:
        if not _REPO.fullmatch(self.repo) or ".." in self.repo:
            raise UsageError(
                "is no repository of the hub", field="repo", value=self.repo, expected="owner/name"
            )
        if not _REVISION.fullmatch(self.revision) or ".." in self.revision:
            raise UsageError(
                "is no revision", field="revision", value=self.revision,
                expected="a commit of 40 hexadecimal digits, a branch or a tag",
            )  # fmt: skip

    def __str__(self) -> str:
        return self.repo if self.revision == "main" else f"{self.repo}@{self.revision}"


def address(text: str) -> Address | None:
    """`owner/name` or `owner/name@revision`; None for anything else.

    Raises `UsageError` for a repository with a revision that is none.
    """
    repo, mark, revision = text.partition("@")
    if not _REPO.fullmatch(repo) or repo.startswith((".", "/")):
        return None
    return Address(repo, revision if mark else "main")


def cache_folder() -> Path:
    """Where the hub's packages keep what they fetched."""
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if named := os.environ.get(name):
            return Path(named).expanduser()
    if home := os.environ.get("HF_HOME"):
        return Path(home).expanduser() / "hub"
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path("~/.cache").expanduser()) / "huggingface" / "hub"


def cached(at: Address) -> Path | None:
    """The folder of that revision in the hub's cache, if all of it is there; else None.

    A branch is what it was when fathom fetched it first, or else when another program did. Needs
    neither a package nor network.
    """
    folder = cache_folder() / f"models--{at.repo.replace('/', '--')}"
    commit = held(cache_folder(), at.repo, at.revision)
    if commit is None:
        commit = at.revision
        with suppress(OSError):
            commit = (folder / "refs" / at.revision).read_text(encoding="utf-8").strip()
    found = folder / "snapshots" / commit
    return found if COMMIT.fullmatch(commit) and is_whole(found) else None


def cached_revisions(repo: str) -> tuple[str, ...]:
    """The commits of a repository that the cache holds whole."""
    folder = cache_folder() / f"models--{repo.replace('/', '--')}" / "snapshots"
    with suppress(OSError):
        return tuple(sorted(path.name for path in folder.iterdir() if is_whole(path)))
    return ()


def is_whole(folder: Path) -> bool:
    """Whether a folder has a model's configuration and every file of weights that it names."""
    with suppress(OSError, ValueError):
        if not any((folder / head).is_file() for head in _HEADS):
            return False
        if (folder / _HEADS[0]).is_file():
            return _has_tensors(folder) or pickle_in(folder) is not None
        return _has_parts(folder)
    return False


def _has_parts(folder: Path) -> bool:
    """A pipeline's folder (diffusers): each part that its index names has its own folder."""
    index = json.loads((folder / _HEADS[1]).read_bytes())
    parts = parts_of_pipeline(index)
    nets = [p for p in parts if (folder / p / "config.json").is_file()]
    return all((folder / p).is_dir() for p in parts) and all(_has_tensors(folder / p) for p in nets)


def _has_tensors(folder: Path) -> bool:
    for index in folder.glob(f"{_TENSORS}.index.json"):
        names = set(json.loads(index.read_bytes())["weight_map"].values())
        return all((folder / name).is_file() for name in names)
    # a network has a config.json and tensors; a scheduler or a tokenizer has no such file
    return any(path.is_file() for path in folder.glob(_TENSORS))


def folder_of(given: str | None, at: Address, name: str) -> Path:
    """The folder with a model's files.

    given: a folder, or a repository of the hub ("owner/name" or "owner/name@revision") that is in
    its cache; None = `at`, the one that the catalog names for the model `name`.

    Raises `InputError` saying how to get them if they are not there, or if the folder is not a
    model's.
    """
    if given is not None and Path(given).is_dir():
        if not any((Path(given) / head).is_file() for head in _HEADS):
            raise InputError(
                f"is no folder of a model: it has no {' and no '.join(_HEADS)}", file=given,
                expected="what `save_pretrained` wrote, or a copy of a repository of the hub",
            )  # fmt: skip
        return Path(given)
    wanted = at if given is None else address(given)
    if wanted is None:
        raise InputError(
            "does not exist", file=given,
            expected="a folder of a model, or a repository of the hub as owner/name[@revision]",
        )  # fmt: skip
    found = cached(wanted)
    if found is not None:
        return found
    others = cached_revisions(wanted.repo)
    hint = f"; {wanted.repo}@{others[-1]} is there" if others else ""
    either = "" if given is None else "there is no such folder, and "
    raise InputError(
        f"{either}its weights are not in the hub's cache on this machine{hint}",
        field="weights" if given is not None else name,
        value=str(wanted),
        remedy=f"run: fathom weights add {name if given is None else given}; or copy the "
        "repository's files here by hand and give --weights FOLDER",
    )


def origin_of(place: Path) -> dict[str, str]:
    """Where weights lie, for result.json: repository and commit of a folder of the hub's cache,
    else the path."""
    name = place.parents[1].name if len(place.parents) > 1 else ""
    if place.parent.name == "snapshots" and name.startswith("models--"):
        repo = name.removeprefix("models--").replace("--", "/", 1)
        return {"repository": repo, "commit": place.name}
    return {"path": str(place)}


def fetch(
    at: Address,
    notify: Callable[[str], None] = lambda _: None,
    *,
    half: bool = False,
    update: bool = False,
) -> Path:
    """Fetches a repository at a revision into the hub's cache; gives its folder there.

    Only configuration and safetensors are fetched, and of these what the model is loaded from: one
    precision; of a net that has no safetensors its pickle, which is not opened here. half: in half
    precision, where the repository has both. What was got before an interruption is used. A branch
    is held at the commit that it was when it was first fetched; update: it is looked up anew, and
    held at what it is now.

    Raises `ResourceError` offline (FATHOM_OFFLINE, HF_HUB_OFFLINE), without a connection or without
    space; `InputError` for a repository or a revision that does not exist or may not be read, and
    one that is no depth model or has no weights; `MissingExtraError` without
    huggingface_hub.
    """
    if is_offline():
        raise ResourceError(f"{OFFLINE} is set: nothing is downloaded", file=str(at), remedy=_COPY)
    try:
        import huggingface_hub
    except ImportError as error:
        raise MissingExtraError("huggingface_hub", "mono") from error
    where = os.environ.get("HF_ENDPOINT")
    before = None if update else held(cache_folder(), at.repo, at.revision)
    exact = Address(at.repo, before or at.revision)

    def get(names: Sequence[str], revision: str) -> Path:
        return Path(
            huggingface_hub.snapshot_download(
                at.repo,
                revision=revision,
                allow_patterns=list(names),
                cache_dir=cache_folder(),
                endpoint=where,
            )
        )

    try:
        with _quiet():
            # The one request that the package does not repeat for half a minute where there is no
            # connection.
            hub = huggingface_hub.HfApi(endpoint=where)
            there = hub.repo_info(at.repo, revision=exact.revision, timeout=_PATIENCE)
            names = [file.rfilename for file in there.siblings or ()]
            folder = get([*_HEADS, _UNET], exact.revision)
            exact = Address(at.repo, folder.name)  # a branch may move while it is fetched
            check_kind(folder, at)  # before gigabytes of something else come
            notify(f"fetching {at} from the hub into {cache_folder()}")
            index, parts = folder / _HEADS[1], None
            if index.is_file():
                parts = parts_of_pipeline(json.loads(index.read_bytes()))
            folder = get([*_HEADS, *wanted_files(names, parts, half=half)], exact.revision)
    except FathomError:
        raise
    except Exception as error:
        raise _told(error, exact) from error
    if not is_whole(folder):
        raise InputError(
            "has no weights of a model", file=str(at),
            expected=f"config.json and *{TENSORS}, or {PICKLE}",
        )  # fmt: skip
    if pickle_in(folder) is not None:
        notify(f"{PICKLE} is a pickle: opened in a process without network whenever it is loaded")
    if not COMMIT.fullmatch(at.revision) and folder.name != before:
        hold(cache_folder(), at.repo, at.revision, folder.name)
        notify(f"{at} is held at commit {folder.name} on this machine (--update: the newest)")
    return folder


@contextmanager
def _quiet() -> Iterator[None]:
    """While open, the hub's package does not tell of each attempt that failed: what came of it in
    the end is told in one line."""
    logger = logging.getLogger("huggingface_hub")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def check_kind(folder: Path, at: Address) -> None:
    """Passes for the head of a depth model of transformers, of a pipeline of diffusers that fathom
    runs, or of any net of diffusers alone.

    Raises `InputError` for another model, or where there is no configuration.
    """
    if (folder / _HEADS[1]).is_file():
        kind = _said(folder / _HEADS[1]).get("_class_name")
        channels = _said(folder / _UNET).get("in_channels") if kind == _ALSO else None
        if kind not in _PIPELINES and channels != _CHANNELS:
            seen = f"{kind} with {channels} channels" if kind == _ALSO else kind
            raise InputError(
                f"is no depth model, but {seen or 'a pipeline of no class'}", file=str(at),
                expected=f"a pipeline of diffusers: {', '.join(_PIPELINES)}, or {_ALSO} whose "
                f"U-Net sees {_CHANNELS} channels",
            )  # fmt: skip
        return
    told = _said(folder / _HEADS[0])
    kind = told.get("model_type")
    if kind not in DEPTH_KINDS and "_class_name" not in told:
        raise InputError(
            "is no depth model" if kind is None else f"is no depth model, but {kind}",
            file=str(at), expected=f"a model of transformers: {', '.join(DEPTH_KINDS)}",
        )  # fmt: skip


def _said(file: Path) -> dict[str, object]:
    """A configuration; an empty one where there is none that can be read."""
    with suppress(OSError, ValueError):
        said = json.loads(file.read_bytes())
        return said if isinstance(said, dict) else {}
    return {}


_COPY = "copy the repository's files here by hand and give --weights FOLDER"


def _told(error: Exception, at: Address) -> FathomError:
    """What the hub's package says, in one line."""
    from huggingface_hub import errors

    if isinstance(error, errors.GatedRepoError):
        return InputError(
            "may be read only by those who accepted its licence", file=str(at),
            remedy=f"accept it at https://huggingface.co/{at.repo} and run: hf auth login",
        )  # fmt: skip
    if isinstance(error, errors.RevisionNotFoundError):
        return InputError(
            "there is no such revision", file=at.repo, field="revision", value=at.revision,
            expected="a commit of 40 hexadecimal digits, a branch or a tag of that repository",
            remedy="give another one, or with --update what its branch is now",
        )  # fmt: skip
    if isinstance(error, errors.RepositoryNotFoundError):
        return InputError(
            "there is no such repository on the hub, or it is private", file=at.repo,
            remedy="look at its name, or run: hf auth login",
        )  # fmt: skip
    if errors.OfflineModeIsEnabled in (type(error), type(error.__cause__)):
        return ResourceError(
            "HF_HUB_OFFLINE is set: nothing is downloaded", file=str(at), remedy=_COPY
        )
    if isinstance(error, OSError) and error.errno is not None and error.filename is not None:
        return resource_error(cache_folder(), error, "written")
    reason: BaseException = error
    if isinstance(error, errors.LocalEntryNotFoundError) and error.__cause__ is not None:
        reason = error.__cause__  # what happened; around it the package gives advice of its own
    told = textwrap.shorten(str(reason), 120, placeholder="...") or type(reason).__name__
    return ResourceError(
        f"the hub cannot be reached: {told}", file=str(at),
        remedy=f"try again with a connection, or {_COPY}",
    )  # fmt: skip
