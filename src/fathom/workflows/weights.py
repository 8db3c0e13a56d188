"""`fathom weights convert` and `add`: the authors' files into ours, kept where they are found."""

import json
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from fathom.core.errors import FathomError, InputError, ResourceError, UsageError
from fathom.core.options import option
from fathom.published.download import Progress, Request, download, shown
from fathom.published.record import UNKNOWN, Licences, Weights, check_name
from fathom.published.store import (
    FORMAT,
    Kept,
    keep_folder,
    kept_path,
    read_header,
    write_weights,
)
from fathom.workflows.weights_known import checked_model, need_torch, net_modules, preferred
from fathom.workflows.weights_list import look, told

if TYPE_CHECKING:
    from fathom.published.convert import Candidate, Converted

Notify = Callable[[str], None]


@dataclass(frozen=True)
class KeepOptions:
    """Which net a file of weights is for, and how it is called.

    Raises `UsageError` for a name that is none.
    """

    model: str | None = option(
        None, "the net, as `fathom weights list` calls it; by itself the tensors' names tell"
    )
    name: str | None = option(
        None, "what to keep it as, best the name that `list` gives this file (default: the model)"
    )
    sha256: str | None = option(None, "what the file's SHA-256 has to be", metavar="HEX")
    replace: bool = option(False, "replace other weights that are kept under this name")

    def __post_init__(self) -> None:
        if self.name is not None:
            check_name(self.name)
        if self.sha256 is not None:
            object.__setattr__(self, "sha256", self.sha256.strip().lower())


@dataclass(frozen=True)
class Done:
    """Weights that were converted. path: the new file. sha256: of its tensors and info. source:
    file, sha256 and bytes of what they were made of."""

    path: str
    name: str | None
    model: str
    settings: Mapping[str, Any]
    tensors: int
    parameters: int
    bytes: int
    sha256: str
    licences: Licences
    source: Mapping[str, Any]


def convert_file(
    file: Path,
    output: Path | None,
    options: KeepOptions,
    notify: Notify = lambda _: None,
    url: str | None = None,
) -> Done:
    """Converts the authors' file to fathom's form: into `output`, or kept by name. Several files
    of one net are given as `A.pth+B.pth`.

    The file is opened in a process without network, and nothing in it runs. url: where it came
    from.

    Raises `InputError` for a file that is missing, truncated, hostile, of another net, or not of
    the SHA-256 asked for; `UsageError` for an unknown model, or a name that is taken;
    `ResourceError` if nothing can be written; `MissingExtraError` without torch.
    """
    need_torch()
    from fathom.published.several import parts_of, read_parts

    options = replace(options, model=checked_model(options.model))
    if output is not None:
        _check_output(output, parts_of(file))
    notify(f"reading {file} in a process without network")
    foreign = read_parts(file)
    source: dict[str, Any] = {"file": file.name, "sha256": foreign.sha256, "bytes": foreign.bytes}
    own = _info_of(foreign.metadata)
    source = own.get("source", source)
    if url is not None:
        source.update(file=shown(url).rpartition("/")[2], url=shown(url))
    if own and options.name is None and own.get("name"):
        options = replace(options, name=str(own["name"]))
    record = _record_for(options, source)
    _check_digest(file, foreign.sha256, options.sha256)
    if record is not None:
        notify(f"taken for {record.name}: {record.variant}")
        _check_digest(file, str(source.get("sha256")), record.sha256)
    converted = _converted(foreign.tensors, options, record, own, file)
    candidate = converted.candidate
    name = options.name or (record.name if record else candidate.model)
    licences = _licences(record, candidate.model, own)
    about = {
        "model": candidate.model,
        "builder": candidate.builder,
        "settings": dict(candidate.settings),
        "name": name,
        "variant": record.variant if record else own.get("variant", ""),
        "licences": asdict(licences),
        "source": source,
        "prefix": ".".join(p for p in (foreign.wrapper, converted.stripped) if p),
        "counters_added": converted.added,
    }
    path = output if output is not None else _free_path(name, source.get("sha256"), options.replace)
    notify(f"writing {path}")
    write_weights(path, converted.tensors, about)
    kept = read_header(path)
    return Done(
        str(path),
        name if output is None else None,
        candidate.model,
        dict(candidate.settings),
        len(converted.tensors),
        converted.parameters,
        kept.bytes,
        str(kept.sha256),
        licences,
        source,
    )


def add(
    target: str,
    options: KeepOptions,
    notify: Notify = lambda _: None,
    progress: Progress = lambda *_: None,
    timeout: float = 30.0,
) -> Done:
    """Keeps weights by name, where `fathom.create` finds them: from an address, from a file, or
    those of a record whose address is known.

    Raises as `convert_file` and, for what is downloaded, as `fathom.published.download.download`.
    """
    need_torch()
    from fathom.published.several import parts_of
    from fathom.published.unpickle import kind_of

    options = replace(options, model=checked_model(options.model))
    record = None
    if "://" not in target:
        if Path(target).exists() or len(parts_of(target)) > 1:
            return convert_file(Path(target), None, options, notify)
        record = _named_record(target)
        options = replace(options, name=options.name or record.name, model=record.model)
    url = target if record is None else str(record.url)
    pinned = options.sha256 or (record.sha256 if record else None)
    request = Request(url, pinned, record.bytes if record else None, timeout)
    file = keep_folder() / f"downloaded-{_key(request.url)}"
    if not file.exists() or (pinned is not None and _digest(file) != pinned):
        notify(f"downloading {shown(url)}")
        digest = download(request, file, progress)
        if pinned is None:
            notify(f"no sha256 was given to compare with; what came has {digest}")
    try:
        with file.open("rb") as opened:
            kind_of(opened, file)
    except InputError as error:
        file.unlink(missing_ok=True)
        error.file = shown(url)
        raise
    try:
        done = convert_file(file, None, options, notify, url)
    except InputError as error:
        # It stays: a second try, with another --model, need not download it again. What came
        # damaged must be downloaded again.
        if error.field in ("sha256", "size"):
            file.unlink(missing_ok=True)
        error.file = shown(url) if error.file == str(file) else error.file
        raise
    file.unlink(missing_ok=True)
    return done


def _check_output(output: Path, files: list[Path]) -> None:
    """An earlier result may be replaced, nothing else."""
    if output.is_dir():
        raise ResourceError("is a folder", file=output, remedy="give the name of a file to write")
    if not output.exists():
        return
    with suppress(FathomError):
        same = any(file.exists() and output.samefile(file) for file in files)
        if not same and "model" in read_header(output).about:
            return
    raise ResourceError(
        "would be overwritten, and it is no earlier result of this command", file=output,
        remedy="choose another name or move that file away",
    )  # fmt: skip


def _free_path(name: str, sha256: str | None, replaced: bool) -> Path:
    """Where to keep weights. Raises `UsageError` if others are kept there."""
    path = kept_path(name)
    if path.exists() and not replaced:
        found = look(path)
        source = found.about.get("source", {}) if isinstance(found, Kept) else {}
        if isinstance(found, Kept) and source.get("sha256") != sha256:
            raise UsageError(
                f"other weights are kept under this name, from {source.get('file', 'elsewhere')}",
                field="name", value=name, remedy="give --name OTHER, or --replace",
            )  # fmt: skip
    return path


def _named_record(target: str) -> Weights:
    records = {r.name: r for _, found in net_modules() for r in found}
    record = records.get(target)
    if record is None:
        raise InputError(
            "does not exist", file=target,
            expected="a file, an https address, or a name of `fathom weights list`",
        )  # fmt: skip
    if record.url is None:
        raise InputError(
            "its address is not known for certain", field="weights", value=target,
            expected=f"the authors' file: {record.source}",
            remedy=f"get it and run: fathom weights add FILE --name {target}",
        )  # fmt: skip
    return record


def _record_for(options: KeepOptions, source: Mapping[str, Any]) -> Weights | None:
    """The record that a file is of: by its hash, by the name the user gives it, or by its own."""
    found = [
        record
        for _, records in net_modules()
        for record in records
        if options.model in (None, record.model)
    ]
    file = re.escape(str(source.get("file")))
    named = re.compile(rf"(?<![\w.-]){file}(?![\w-])")
    by_hash = [r for r in found if r.sha256 is not None and r.sha256 == source.get("sha256")]
    by_name = [r for r in found if r.name == options.name]
    by_file = [r for r in found if options.name is None and named.search(r.source)]
    return next(iter([*by_hash, *by_name, *(by_file if len(by_file) == 1 else ())]), None)


def _check_digest(file: Path, sha256: str, wanted: str | None) -> None:
    if wanted is not None and wanted != sha256:
        raise InputError(
            "is not the file that was published: another one, or damaged",
            file=file,
            field="sha256",
            value=f"{sha256[:16]}...",
            expected=f"{wanted[:16]}...",
            remedy="download it again, or leave --sha256 and --name out if it is meant to differ",
        )


def _converted(
    tensors: Mapping[str, Any],
    options: KeepOptions,
    record: Weights | None,
    own: Mapping[str, Any],
    file: Path,
) -> "Converted":
    from fathom.published.convert import candidates, convert_tensors

    first: list[Candidate] = []
    among: list[Candidate] = []
    everything: list[tuple[ModuleType, tuple[Weights, ...]]] = []
    for module, records in net_modules():
        first += preferred(module, records, record, own)
        among += candidates(module, records, options.model)
        everything.append((module, records))
    if options.model is None:
        everything.clear()  # all of them are among those already, and building them takes seconds
    return convert_tensors(
        tensors,
        [*first, *among],
        lambda: [c for known in everything for c in candidates(*known)],
        file,
    )


def _info_of(metadata: Mapping[str, str]) -> dict[str, Any]:
    """What a file that this command wrote says of itself; empty for any other."""
    with suppress(ValueError):
        found = json.loads(metadata.get("info", "{}")) if metadata.get("format") == FORMAT else {}
        if isinstance(found, dict) and isinstance(found.get("source"), dict):
            return found
    return {}


def _licences(record: Weights | None, model: str, own: Mapping[str, Any]) -> Licences:
    """Of the record; else as the file says; else what all records of the model agree on."""
    if record is not None and record.model == model:
        return record.licences
    if isinstance(own.get("licences"), dict):
        return told(own["licences"])
    found = [r.licences for _, records in net_modules() for r in records if r.model == model]
    parts = {
        part: {getattr(licence, part) for licence in found} for part in ("code", "weights", "data")
    }
    return Licences(**{k: v.pop() if len(v) == 1 else UNKNOWN for k, v in parts.items()})


def _digest(file: Path) -> str:
    import hashlib

    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _key(url: str) -> str:
    import hashlib

    return hashlib.sha256(url.encode()).hexdigest()[:16]
