"""`fathom weights`."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from fathom.cli.console import say, show_json
from fathom.cli.flags import Parser, add_fields, taken
from fathom.core.errors import UsageError, unknown_name
from fathom.published.download import Progress
from fathom.published.record import UNKNOWN, Licences, none_published
from fathom.workflows.weights import Done, KeepOptions, add, convert_file
from fathom.workflows.weights_calibrate import CalibrateOptions, calibrate_weights
from fathom.workflows.weights_hub import Fetched, fetch_weights, hub_target
from fathom.workflows.weights_list import Row, list_weights, rows_of
from fathom.workflows.weights_verify import verify

HELP = """usage: fathom weights list | convert FILE | add URL|FILE|NAME | verify [NAME|FILE ...]
       fathom weights calibrate NAME|FILE [--data FOLDER]

Published weights of the nets: what there is, and turning the authors' files into fathom's.

  list      licences of code, weights and data, size, source, and whether they are ready
  convert   the authors' file (.pth, .tar, .ckpt, .pt, .safetensors, .t7) to safetensors
  add       keeps weights by name, where `--method NAME` finds them; downloads when asked to
  verify    hashes, sizes, finite values, every tensor's name and shape
  calibrate makes a net's confidence true, on pairs with truth

examples:
  fathom weights list --model raft-stereo
  fathom weights convert raftstereo-eth3d.pth --name raft-stereo-eth3d
  fathom weights convert official.pth --model raft-stereo -o mine.safetensors
  fathom weights convert encoder.pth+depth.pth --name monodepth2-stereo-640x192
  fathom weights add https://example.org/weights.pth --model psmnet --sha256 9f86d081...
  fathom weights add depth-anything-v2-small
  fathom weights add owner/name@COMMIT
  fathom weights verify
  fathom weights calibrate psmnet --data kitti2015
  fathom weights convert --help

A checkpoint is a pickle, and a pickle is a program: it is opened with weights_only in a process
without network, and what holds more than tensors is refused. Nothing is downloaded unless `add` is
given an address, a name or a repository of the hub (huggingface.co), and nothing at all with
FATHOM_OFFLINE=1. Weights are kept in fathom's cache folder (FATHOM_CACHE_DIR); those of the hub in
its own cache (HF_HUB_CACHE, HF_HOME).

exit code 0: well; 1: `verify` found something; 3: a file that cannot serve; 4: disk, network
"""
_EVERY = 5.0  # seconds between two lines of progress


def run(words: list[str]) -> int:
    """Runs the part of the command that the first word names; returns its exit code."""
    if not words or words[0] in ("-h", "--help"):
        print(HELP)
        if not words:
            return 0
        raise SystemExit(0)
    if words[0] not in _PARTS:
        raise unknown_name("part of `fathom weights`", words[0], list(_PARTS))
    return _PARTS[words[0]](words[1:])


def _list(words: list[str]) -> int:
    parser = Parser(
        prog="fathom weights list",
        usage="fathom weights list [--model NAME] [--json]",
        description="All weights that are known or kept, with three licences each.",
        epilog="states: ready = here; download = `fathom weights add NAME` gets them;\n"
        "convert = get the authors' file, then `fathom weights convert FILE`;\n"
        "install = a package is missing, see `fathom models`; damaged",
    )
    parser.add_argument("--model", metavar="NAME", help="those of one net")
    _common(parser)
    arguments = parser.parse_args(words)
    rows = list_weights(say)
    if arguments.model is not None:
        rows = rows_of(arguments.model, rows)
    if arguments.json:
        show_json([asdict(row) for row in rows])
    elif arguments.model is not None and not rows:
        why = none_published(arguments.model) or "no weights are known or kept"
        print(f"{arguments.model}: {why}")
    else:
        on_hub = [row for row in rows if row.source.startswith("hub: ")]
        _show_rows([row for row in rows if row not in on_hub])
        _show_rows(on_hub)
    return 0


def _convert(words: list[str]) -> int:
    parser = Parser(
        prog="fathom weights convert",
        usage="fathom weights convert FILE [--model NAME] [-o OUT.safetensors] [--json]",
        description="Turns the authors' file of weights into fathom's form.",
        epilog="without -o they are kept by name, where `--method NAME` finds them",
    )
    parser.add_argument("file", metavar="FILE", help="what the authors published")
    parser.add_argument("-o", "--output", "--out", metavar="OUT", help="the file to write")
    add_fields(parser, KeepOptions)
    _common(parser)
    arguments = parser.parse_args(words)
    output = None if arguments.output is None else Path(arguments.output)
    options = KeepOptions(**taken(arguments, KeepOptions))
    return _show_done(
        convert_file(Path(arguments.file), output, options, say), as_json=arguments.json
    )


def _add(words: list[str]) -> int:
    parser = Parser(
        prog="fathom weights add",
        usage="fathom weights add URL|FILE|NAME|OWNER/NAME[@REVISION] [--model NAME]\n"
        "                          [--name NAME] [--sha256 HEX]",
        description="Keeps weights by name; an address is downloaded, resumably, and checked.",
        epilog="a download that was interrupted goes on where it stopped; FATHOM_OFFLINE=1 forbids "
        "it",
    )
    parser.add_argument(
        "target", metavar="URL|FILE|NAME",
        help="address, file, a name of `fathom weights list`, or owner/name[@revision] of the hub",
    )  # fmt: skip
    add_fields(parser, KeepOptions)
    parser.add_argument(
        "--timeout", type=float, default=30.0, metavar="S",
        help="seconds without any byte after which a connection is given up (default 30)",
    )  # fmt: skip
    parser.add_argument(
        "--half", action="store_true",
        help="of the hub's repositories that hold two precisions, half (for a GPU, with "
        "--precision fp16); default: single precision",
    )  # fmt: skip
    parser.add_argument(
        "--update", action="store_true",
        help="of the hub: what a branch is now; default: the commit that it was when it was first "
        "fetched to this machine",
    )  # fmt: skip
    _common(parser)
    arguments = parser.parse_args(words)
    if not 0 < arguments.timeout < 1e6:
        raise UsageError(
            "is no time", field="timeout", value=arguments.timeout, expected="seconds above 0"
        )
    options = KeepOptions(**taken(arguments, KeepOptions))
    on_hub = hub_target(arguments.target)
    if on_hub is not None:
        got = fetch_weights(on_hub, say, half=arguments.half, update=arguments.update)
        return _show_fetched(got, as_json=arguments.json)
    with _bytes_bar() as progress:
        done = add(arguments.target, options, say, progress, arguments.timeout)
    return _show_done(done, as_json=arguments.json)


def _verify(words: list[str]) -> int:
    parser = Parser(
        prog="fathom weights verify",
        usage="fathom weights verify [NAME|FILE ...] [--json]",
        description="Looks at weights again; without a name at all that are here.",
    )
    parser.add_argument("targets", nargs="*", metavar="NAME|FILE", help="what to verify")
    _common(parser)
    arguments = parser.parse_args(words)
    verdicts = verify(arguments.targets, say)
    if arguments.json:
        show_json([asdict(verdict) for verdict in verdicts])
    else:
        for v in verdicts:
            print(f"bad   {v.problem}" if v.problem else f"good  {v.name}: {', '.join(v.checked)}")
        if not verdicts:
            print("nothing is shipped or kept; see: fathom weights list")
    return 1 if any(v.problem for v in verdicts) else 0


def _calibrate(words: list[str]) -> int:
    parser = Parser(
        prog="fathom weights calibrate",
        usage="fathom weights calibrate NAME|FILE [--data FOLDER] [--most N] [--json]",
        description="Compares a net's confidence with the truth of some pairs, and writes the "
        "correction into the file of weights; its tensors stay as they are.",
        epilog="take pairs like those it will be used on, and none that it was trained on",
    )
    parser.add_argument("target", metavar="NAME|FILE", help="kept or converted weights")
    add_fields(parser, CalibrateOptions)
    _common(parser)
    arguments = parser.parse_args(words)
    options = CalibrateOptions(**taken(arguments, CalibrateOptions))
    done = calibrate_weights(arguments.target, options, say)
    if arguments.json:
        show_json(asdict(done))
        return 0
    where = "pairs left out of the fit" if done.held_out else "the same pair"
    print(f"wrote {done.path}: confidence = sigmoid({done.scale:.3f} logit + {done.offset:.3f})")
    print(f"{done.model} said {done.said:.1%} within 1 px, {done.right:.1%} were")
    print(f"calibration error {done.before:.1%} before, {done.after:.1%} after ({where})")
    return 0


def _common(parser: Parser) -> None:
    parser.add_argument("--json", action="store_true", help="print it as JSON")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")


def _show_rows(rows: list[Row]) -> None:
    width = max((len(row.name) for row in rows), default=0)
    for row in rows:
        print(f"{row.name:<{width}}  {row.state:<8}  {_size(row.bytes):>8}  {_words(row.licences)}")
        told = [text for text in (row.variant, row.path or row.source) if text]
        print(f"{'':<{width}}  {row.problem or '; '.join(told)}")


def _show_done(done: Done, *, as_json: bool) -> int:
    if as_json:
        show_json(asdict(done))
        return 0
    settings = "".join(f", {k}={v}" for k, v in done.settings.items())
    print(
        f"wrote {done.path} ({_size(done.bytes)}: {done.tensors} tensors, {done.model}{settings})"
    )
    print(f"licences  {_words(done.licences).removeprefix('licences ')}")
    weights = done.name or done.path
    flag = "" if weights == done.model else f" --weights {weights}"
    print(f"use it    fathom depth left.png right.png --method {done.model}{flag}")
    return 0


def _show_fetched(done: Fetched, *, as_json: bool) -> int:
    if as_json:
        show_json(asdict(done))
        return 0
    print(f"fetched {done.repo} ({_size(done.bytes)}) into {done.path}")
    print(f"licences  {done.licence}")
    if done.name is not None:
        print(f"use it    fathom depth photo.jpg --method {done.name}")
    return 0


def _words(licences: Licences) -> str:
    if {licences.code, licences.weights, licences.data} == {UNKNOWN}:
        return "licences unknown"
    return f"code {licences.code}, weights {licences.weights}, data: {licences.data}"


def _size(count: int | None) -> str:
    if count is None:
        return "-"
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count = count / 1000  # type: ignore[assignment]
    return f"{count:.3g} GB"


@contextmanager
def _bytes_bar() -> Iterator[Progress]:
    """A bar over the bytes on a terminal, a line every few seconds elsewhere."""
    if not sys.stderr.isatty():
        yield _lines()
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )
    from rich.progress import (
        Progress as Bar,
    )

    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("download", total=None, start=True, visible=False)
        yield lambda got, total: bar.update(task, completed=got, total=total, visible=True)


def _lines() -> Progress:
    said = time.monotonic()

    def tell(got: int, total: int | None) -> None:
        nonlocal said
        if time.monotonic() - said >= _EVERY:
            said = time.monotonic()
            say(f"{_size(got)} of {_size(total)}" if total else _size(got))

    return tell


_PARTS: dict[str, Callable[[list[str]], int]] = {
    "list": _list,
    "convert": _convert,
    "add": _add,
    "verify": _verify,
    "calibrate": _calibrate,
}
