"""Getting one file over HTTPS, on request only: resumed, checked, whole or not at all.

What has come lies beside the target as `.NAME.part` with `.NAME.part.json`, which says what it is
the beginning of; a second run goes on where the first stopped (Range and If-Range, RFC 9110), if
the server still has the same file. Nothing here needs more than Python.
"""

import http.client
import os
import re
import socket
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fathom.core.errors import InputError, ResourceError, UsageError
from fathom.io.files import resource_error
from fathom.io.paths import make_folders
from fathom.published.part import Part, check_space, part_of

OFFLINE = "FATHOM_OFFLINE"
"""Set to anything but 0, no or false, nothing is downloaded."""
Progress = Callable[[int, int | None], None]
_CHUNK = 1 << 16
_ATTEMPTS = 5
_LONGEST = 1 << 34
_SLOWEST = 100.0  # bytes a second over a whole timeout
_TRANSIENT = (408, 425, 429, 500, 502, 503, 504)
_HOPELESS = (socket.gaierror, ConnectionRefusedError, ssl.SSLCertVerificationError)
_LOCAL = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Request:
    """What to get. url: https (http only together with sha256, or on this machine). sha256: of the
    whole file, hexadecimal, None if unknown. bytes: its length, None if unknown. timeout: seconds
    without (nearly) any byte after which a connection is given up. pause: seconds before the
    second attempt, doubled for each further one.

    Raises `UsageError` for an address that is none or is not safe.
    """

    url: str
    sha256: str | None = None
    bytes: int | None = None
    timeout: float = 30.0
    pause: float = 1.0

    def __post_init__(self) -> None:
        if self.sha256 is not None and not re.fullmatch(r"[0-9a-f]{64}", self.sha256):
            raise UsageError(
                "is no SHA-256", field="sha256", value=self.sha256, expected="64 hexadecimal digits"
            )
        try:
            parts = urllib.parse.urlsplit(self.url)
            host = parts.hostname if parts.port != 0 and parts.username is None else None
        except ValueError:
            parts, host = urllib.parse.urlsplit(""), None
        plain = self.url.isascii() and self.url.isprintable() and " " not in self.url
        if parts.scheme not in ("http", "https") or not host or not plain:
            raise UsageError(
                "is no address to download from", field="url", value=shown(self.url),
                expected="https://... without a password or spaces in it",
            )  # fmt: skip
        if parts.scheme == "http" and self.sha256 is None and host not in _LOCAL:
            raise UsageError(
                "without https anybody on the way can change the file", field="url",
                value=shown(self.url), remedy="use https, or give --sha256 too",
            )  # fmt: skip


def is_offline() -> bool:
    """Whether the user has forbidden downloads (FATHOM_OFFLINE)."""
    return os.environ.get(OFFLINE, "").strip().lower() not in ("", "0", "no", "false", "off")


def shown(url: str) -> str:
    """An address as it may be shown and kept: without password and query, which can be secrets."""
    with suppress(ValueError):
        parts = urllib.parse.urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        return urllib.parse.urlunsplit((parts.scheme, host, parts.path, "", ""))
    return url.partition("?")[0]


def download(request: Request, target: Path, progress: Progress = lambda *_: None) -> str:
    """Gets a file into `target`, whole or not at all, and gives its SHA-256.

    progress(bytes so far, bytes in all or None) is called as they come. What was got before an
    interruption, Ctrl-C included, is kept beside `target` and continued by the next call.

    Raises `ResourceError` offline, without a connection, when it breaks or stalls too often, or
    when the disk is full; `InputError` if the server refuses, or what came is not what was asked
    for (length, SHA-256, a redirection to something else than the web).
    """
    if is_offline():
        raise ResourceError(
            f"{OFFLINE} is set: nothing is downloaded",
            file=shown(request.url),
            remedy="unset it, or get the file elsewhere and run: fathom weights add FILE",
        )
    try:
        make_folders(target.parent)
        with part_of(target, request.url, request.sha256) as part:
            digest = _whole(request, part, progress)
            if request.sha256 in (None, digest):
                part.finish(target)
                return digest
            part.discard()
    except OSError as error:
        raise resource_error(target, error, "written") from error
    raise InputError(
        "is not the file that was published: another one, or damaged on its way",
        file=shown(request.url), field="sha256", value=f"{digest[:16]}...",
        expected=f"{str(request.sha256)[:16]}...", remedy="do not use it; ask its authors",
    )  # fmt: skip


def _whole(request: Request, part: Part, progress: Progress) -> str:
    """Gets all of it and gives its SHA-256."""
    resumed = part.size > 0
    _get(request, part, progress)
    digest = part.digest()
    if resumed and request.sha256 not in (None, digest):
        # What was kept may have been of another file: once more from the beginning.
        part.restart()
        _get(request, part, progress)
        digest = part.digest()
    return digest


def _get(request: Request, part: Part, progress: Progress) -> None:
    """Fills the part to its end; begins again where a connection broke, a few times."""
    failed = 0
    while True:
        before = part.size
        try:
            if _transfer(request, part, progress):
                return
            problem = "the connection was cut"
        except _TransientError as error:
            problem = str(error)
        except (TimeoutError, OSError, http.client.HTTPException) as error:
            if isinstance(error, OSError) and error.filename is not None:
                raise
            problem = _reason(error)
        failed = 1 if part.size - before >= _CHUNK else failed + 1
        if failed >= _ATTEMPTS:
            raise ResourceError(
                f"cannot be downloaded: {problem}", file=shown(request.url), field="received",
                value=f"{part.size} bytes",
                remedy="run the same command again: it goes on from there",
            )  # fmt: skip
        time.sleep(min(request.pause * 2 ** (failed - 1), 30.0))


class _TransientError(Exception):
    """The server may answer better in a moment."""


def _transfer(request: Request, part: Part, progress: Progress) -> bool:
    """One connection; True if the file is whole."""
    with _answer(request, part) as answer:
        if answer.status == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            if part.total == part.size:
                return True
            part.restart()
            return False
        total = _total(request, part, answer)
        check_space(part, total)
        progress(part.size, total)
        for block in _blocks(answer, request.timeout):
            if total is not None and part.size + len(block) > total:
                part.discard()
                raise InputError(
                    "is longer than the server said", file=shown(request.url),
                    expected=f"{total} bytes",
                )  # fmt: skip
            part.add(block)
            progress(part.size, total)
    return total is None or part.size == total


@contextmanager
def _answer(request: Request, part: Part) -> Iterator[Any]:
    headers = {"User-Agent": "fathom", "Accept-Encoding": "identity"}
    if part.size:
        headers["Range"] = f"bytes={part.size}-"
        if part.tag:
            headers["If-Range"] = part.tag
    asked = urllib.request.Request(request.url, headers=headers)  # noqa: S310 - see Request
    try:
        answer = _opener().open(asked, timeout=request.timeout)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and part.size:
                yield error
                return
            if error.code in _TRANSIENT:
                raise _TransientError(f"the server says {error.code} {error.reason}") from error
            raise InputError(
                f"the server says {error.code} {error.reason}", file=shown(request.url),
                remedy="look for its new address at its authors'",
            ) from error  # fmt: skip
    except urllib.error.URLError as error:
        if isinstance(error.reason, _HOPELESS):
            raise ResourceError(
                f"no connection: {_reason(error.reason)}", file=shown(request.url),
                remedy="look at the network, or get the file elsewhere and add that",
            ) from error  # fmt: skip
        raise _TransientError(_reason(error.reason)) from error
    with answer:
        yield answer


def _total(request: Request, part: Part, answer: Any) -> int | None:
    """Bytes of the whole file; prepares the part for what this answer brings."""
    kind = answer.headers.get("Content-Encoding", "identity").lower()
    length = _number(answer.headers.get("Content-Length"))
    found = re.fullmatch(
        r"bytes (\d+)-(\d+)/(\d+|\*)", answer.headers.get("Content-Range", "").strip()
    )
    if answer.status == http.HTTPStatus.PARTIAL_CONTENT:
        if not found or int(found[1]) != part.size:
            part.restart()
            raise _TransientError("the server sent another part than was asked for")
        total = _number(found[3])
    elif answer.status == http.HTTPStatus.OK:
        part.restart()
        total = length
    else:
        raise InputError(
            "gives no file", file=shown(request.url), field="status", value=answer.status,
            expected="200 or 206",
        )  # fmt: skip
    if kind != "identity":
        raise InputError(
            "is sent compressed though that was not asked for", file=shown(request.url),
            field="Content-Encoding", value=kind, expected="identity",
        )  # fmt: skip
    wrong = total is not None and request.bytes is not None and total != request.bytes
    if wrong or (total or 0) > _LONGEST:
        part.discard()
        raise InputError(
            "is not the file that was published: its length is another", file=shown(request.url),
            field="length", value=f"{total} bytes", expected=f"{request.bytes or _LONGEST} bytes",
        )  # fmt: skip
    total = total if total is not None else request.bytes
    part.remember(_tag(answer.headers), total)
    return total


def _blocks(answer: Any, timeout: float) -> Iterator[bytes]:
    """What comes, until it ends. Raises `_TransientError` if it all but stalls."""
    since, got = time.monotonic(), 0
    while True:
        try:
            block = answer.read1(_CHUNK)
        except http.client.IncompleteRead as error:
            raise _TransientError("the connection was cut") from error
        if not block:
            return
        got += len(block)
        passed = time.monotonic() - since
        if passed > timeout:
            if got < _SLOWEST * passed:
                raise _TransientError(f"{got} bytes came in {passed:.0f} s")
            since, got = time.monotonic(), 0
        yield block


class _Web(urllib.request.HTTPRedirectHandler):
    """Follows redirections within the web, never from https to http."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str,
        headers: Any, newurl: str,
    ) -> urllib.request.Request | None:  # fmt: skip
        new = urllib.parse.urlsplit(newurl)
        allowed = ("https",) if req.type == "https" else ("http", "https")
        if new.scheme not in allowed:
            fp.close()
            raise _refused_redirect(req.full_url, newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)

    def http_error_302(
        self,
        req: urllib.request.Request,
        fp: Any,
        code: int,
        msg: str,
        headers: Any,
    ) -> Any:
        # The standard handler refuses file: and its like itself, with an HTTPError of status 302
        to = urllib.parse.urljoin(req.full_url, headers.get("location") or "")
        if urllib.parse.urlsplit(to).scheme not in ("http", "https"):
            fp.close()
            raise _refused_redirect(req.full_url, to)
        return super().http_error_302(req, fp, code, msg, headers)

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


def _refused_redirect(url: str, to: str) -> InputError:
    return InputError(
        "is redirected to where nothing is downloaded from", file=shown(url), field="location",
        value=shown(to), expected="an https address",
    )  # fmt: skip


def _opener() -> urllib.request.OpenerDirector:
    """Only the web: no file:, ftp: or data: addresses, whoever sends us there."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(), urllib.request.UnknownHandler(),
        urllib.request.HTTPHandler(), urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(), _Web(), urllib.request.HTTPErrorProcessor(),
    ):  # fmt: skip
        opener.add_handler(handler)
    return opener


def _tag(headers: Any) -> str:
    """The server's mark of this version of the file, fit for If-Range: a strong one, or a date."""
    tag = str(headers.get("ETag", ""))
    return tag if tag and not tag.startswith("W/") else str(headers.get("Last-Modified", ""))


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() else None


def _reason(error: Any) -> str:
    if isinstance(error, TimeoutError) or "timed out" in str(error):
        return "nothing came for too long"
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(reason)
