"""Downloads against a server of our own that cuts off, stalls, lies and sends people elsewhere."""

import errno
import hashlib
import http.server
import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fathom.core.errors import FathomError, InputError, ResourceError, UsageError
from fathom.published import part as part_module
from fathom.published.download import Request, download, is_offline, shown
from fathom.published.part import part_of

CONTENT = bytes(range(256)) * 1500  # 384 kB
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers as the server's `plan` says; notes what was asked."""

    def do_GET(self) -> None:
        self.server.asked.append(self.headers.get("Range"))
        self.server.plan(self)

    def log_message(self, *_: object) -> None:
        """Nothing is said."""

    def begin(self, status: int, length: int | None, **headers: str) -> None:
        self.send_response(status)
        if length is not None:
            self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def serve(self, content: bytes = CONTENT, most: int | None = None, tag: str = '"1"') -> None:
        """The file, or the part that was asked for; `most` bytes of it, then the line is cut."""
        asked, start = self.headers.get("Range"), 0
        if asked and self.headers.get("If-Range") in (None, tag):
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            if start >= len(content):
                self.begin(416, 0, Content_Range=f"bytes */{len(content)}")
                return
            span = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self.begin(206, len(content) - start, ETag=tag, Content_Range=span)
        else:
            self.begin(200, len(content), ETag=tag)
        rest = content[start:]
        self.wfile.write(rest if most is None else rest[:most])


class Server(http.server.ThreadingHTTPServer):
    """A server on this machine."""

    daemon_threads = True
    plan: Callable[[Handler], None] = staticmethod(Handler.serve)

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/weights.pth"

    def handle_error(self, *_: object) -> None:
        """A client that has gone is what some tests are about."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("FATHOM_OFFLINE", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with Server() as found:
        thread = threading.Thread(target=found.serve_forever, args=(0.01,))
        thread.start()
        yield found
        found.shutdown()
        thread.join()


def request(server: Server, **changed) -> Request:
    return Request(**{"url": server.url, "sha256": SHA256, "timeout": 5, "pause": 0, **changed})


def files_of(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def refused(kind: type[FathomError], *args, **kwargs) -> str:
    with pytest.raises(kind) as caught:
        download(*args, **kwargs)
    line = str(caught.value)
    assert "\n" not in line
    return line


def test_a_file_comes_whole_with_progress(server: Server, tmp_path: Path) -> None:
    seen = []
    got = download(request(server), tmp_path / "a", lambda *told: seen.append(told))
    assert got == SHA256
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert files_of(tmp_path) == ["a"]
    assert seen[0] == (0, len(CONTENT)) and seen[-1] == (len(CONTENT), len(CONTENT))
    assert [n for n, _ in seen] == sorted(n for n, _ in seen)


def test_without_a_hash_it_is_told(server: Server, tmp_path: Path) -> None:
    assert download(request(server, sha256=None), tmp_path / "a") == SHA256


def test_a_connection_that_is_cut_is_continued_where_it_broke(
    server: Server, tmp_path: Path
) -> None:
    server.plan = lambda handler: handler.serve(most=100_000)
    assert download(request(server), tmp_path / "a") == SHA256
    assert server.asked == [None, "bytes=100000-", "bytes=200000-", "bytes=300000-"]


def test_a_later_run_goes_on_where_the_first_was_interrupted(
    server: Server, tmp_path: Path
) -> None:
    def interrupt(got: int, _: int | None) -> None:
        if got > 100_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(request(server), tmp_path / "a", interrupt)
    assert files_of(tmp_path) == [".a.part", ".a.part.json"]
    kept = (tmp_path / ".a.part").stat().st_size
    assert download(request(server), tmp_path / "a") == SHA256
    assert server.asked == [None, f"bytes={kept}-"]
    assert files_of(tmp_path) == ["a"]


def test_a_file_that_changed_meanwhile_is_got_anew(server: Server, tmp_path: Path) -> None:
    old = b"old" * len(CONTENT)
    server.plan = lambda handler: handler.serve(old, most=1000, tag='"0"')
    refused(ResourceError, request(server, sha256=None), tmp_path / "a")
    server.plan = Handler.serve
    assert download(request(server, sha256=None), tmp_path / "a") == SHA256


@pytest.mark.parametrize("damage", ["other-bytes", "other-url", "not-json", "no-tag"])
def test_a_beginning_of_something_else_is_not_continued(
    server: Server, tmp_path: Path, damage: str
) -> None:
    server.plan = lambda handler: handler.serve(most=1000)
    refused(ResourceError, request(server), tmp_path / "a")
    part, about = tmp_path / ".a.part", tmp_path / ".a.part.json"
    size = part.stat().st_size
    if damage == "other-bytes":
        part.write_bytes(bytes(size))
    elif damage == "not-json":
        about.write_text("{")
    else:
        known = json.loads(about.read_text())
        about.write_text(json.dumps({**known, "url" if damage == "other-url" else "tag": ""}))
        part.write_bytes(bytes(size))
    server.plan = Handler.serve
    assert download(request(server), tmp_path / "a") == SHA256


def test_a_beginning_from_another_address_is_not_continued(server: Server, tmp_path: Path) -> None:
    other = b"other" * len(CONTENT)
    server.plan = lambda handler: handler.serve(other, most=1000)
    refused(ResourceError, request(server, sha256=None, url=server.url + "?id=1"), tmp_path / "a")
    assert "id=1" not in (tmp_path / ".a.part.json").read_text()
    server.plan = Handler.serve
    assert (
        download(request(server, sha256=None, url=server.url + "?id=2"), tmp_path / "a") == SHA256
    )


def test_a_server_that_knows_no_parts_sends_all_again(server: Server, tmp_path: Path) -> None:
    def plan(handler: Handler) -> None:
        handler.begin(200, len(CONTENT))
        handler.wfile.write(CONTENT if len(server.asked) > 1 else CONTENT[:90_000])

    server.plan = plan
    assert download(request(server), tmp_path / "a") == SHA256


def test_a_server_that_sends_the_wrong_part_is_not_believed(server: Server, tmp_path: Path) -> None:
    def plan(handler: Handler) -> None:
        if len(server.asked) == 2:
            handler.begin(206, 10, Content_Range=f"bytes 0-9/{len(CONTENT)}")
            handler.wfile.write(CONTENT[:10])
        else:
            handler.serve(most=1000 if len(server.asked) == 1 else None)

    server.plan = plan
    assert download(request(server), tmp_path / "a") == SHA256
    assert server.asked == [None, "bytes=1000-", None]


def test_what_is_whole_already_is_only_checked(server: Server, tmp_path: Path) -> None:
    with part_of(tmp_path / "a", server.url, SHA256) as part:
        part.remember('"1"', len(CONTENT))
        part.add(CONTENT)
    assert download(request(server), tmp_path / "a") == SHA256
    assert server.asked == [f"bytes={len(CONTENT)}-"]


def test_wrong_bytes_are_refused_and_leave_nothing(server: Server, tmp_path: Path) -> None:
    server.plan = lambda handler: handler.serve(CONTENT[::-1])
    line = refused(InputError, request(server), tmp_path / "a")
    assert "is not the file that was published" in line and SHA256[:16] in line
    assert files_of(tmp_path) == []


@pytest.mark.parametrize("length", [len(CONTENT) - 1, len(CONTENT) + 1])
def test_a_wrong_length_is_refused_before_anything_comes(
    server: Server, tmp_path: Path, length: int
) -> None:
    line = refused(InputError, request(server, bytes=length), tmp_path / "a")
    assert f"{len(CONTENT)} bytes" in line and f"expected {length} bytes" in line
    assert files_of(tmp_path) == []


def test_more_than_was_said_is_refused(server: Server, tmp_path: Path) -> None:
    def chunked(handler: Handler) -> None:
        handler.protocol_version = "HTTP/1.1"
        handler.begin(200, None, Transfer_Encoding="chunked")
        handler.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(CONTENT), CONTENT))

    server.plan = chunked
    line = refused(InputError, request(server, bytes=1000), tmp_path / "a")
    assert "longer than the server said" in line
    assert download(request(server), tmp_path / "b") == SHA256


def test_a_cut_in_chunks_is_seen(server: Server, tmp_path: Path) -> None:
    def chunked(handler: Handler) -> None:
        handler.protocol_version = "HTTP/1.1"
        handler.begin(200, None, Transfer_Encoding="chunked")
        handler.wfile.write(b"%x\r\n%s" % (len(CONTENT), CONTENT[:500]))

    server.plan = chunked
    assert "was cut" in refused(ResourceError, request(server, sha256=None), tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_a_connection_that_is_always_cut_is_given_up(server: Server, tmp_path: Path) -> None:
    server.plan = lambda handler: handler.serve(most=10)
    line = refused(ResourceError, request(server), tmp_path / "a")
    assert "was cut" in line and "received = '50 bytes'" in line
    assert len(server.asked) == 5


def test_a_stall_is_given_up_in_time(server: Server, tmp_path: Path) -> None:
    over = threading.Event()

    def plan(handler: Handler) -> None:
        handler.serve(most=10)
        over.wait(20)

    server.plan = plan
    started = time.monotonic()
    line = refused(ResourceError, request(server, timeout=0.1), tmp_path / "a")
    over.set()
    assert "nothing came for too long" in line
    assert time.monotonic() - started < 15


def test_a_trickle_is_a_stall(server: Server, tmp_path: Path) -> None:
    over = threading.Event()

    def plan(handler: Handler) -> None:
        handler.begin(200, len(CONTENT))
        while not over.wait(0.05):
            handler.wfile.write(b"x")

    server.plan = plan
    line = refused(ResourceError, request(server, timeout=0.3), tmp_path / "a")
    over.set()
    assert "bytes came in" in line


def test_a_busy_server_is_asked_again(server: Server, tmp_path: Path) -> None:
    def plan(handler: Handler) -> None:
        if len(server.asked) < 3:
            handler.begin(503, 0)
        else:
            handler.serve()

    server.plan = plan
    assert download(request(server), tmp_path / "a") == SHA256


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda h: h.begin(404, 0), "says 404"),
        (lambda h: h.begin(403, 0), "says 403"),
        (lambda h: h.begin(204, None), "gives no file"),
        (lambda h: h.begin(200, 3, Content_Encoding="gzip"), "sent compressed"),
        (lambda h: h.begin(302, 0, Location="file:///etc/passwd"), "is redirected to"),
        (lambda h: h.begin(307, 0, Location="ftp://127.0.0.1/x"), "is redirected to"),
        (lambda h: h.begin(301, 0, Location="data:,x"), "is redirected to"),
        (lambda h: h.begin(302, 0, Location=h.path), "says 302"),
    ],
)
def test_refusals_of_the_server_are_one_line(
    server: Server, tmp_path: Path, answer: Callable[[Handler], None], said: str
) -> None:
    server.plan = answer
    assert said in refused(InputError, request(server), tmp_path / "a")
    assert files_of(tmp_path) == []


def test_redirections_within_the_web_are_followed(server: Server, tmp_path: Path) -> None:
    def plan(handler: Handler) -> None:
        if handler.path == "/other":
            handler.serve()
        else:
            handler.begin(302, 0, Location="/other")

    server.plan = plan
    assert download(request(server), tmp_path / "a") == SHA256


def test_nobody_is_sent_from_https_to_http() -> None:
    import urllib.request
    from email.message import Message

    from fathom.published.download import _Web

    asked = urllib.request.Request("https://example.org/a")
    with pytest.raises(InputError, match="is redirected to"):
        _Web().redirect_request(asked, io.BytesIO(), 302, "", Message(), "http://example.org/a")


def test_no_server_there_is_said_at_once(server: Server, tmp_path: Path) -> None:
    url = server.url.replace(str(server.server_port), "9")
    assert "no connection" in refused(ResourceError, Request(url, SHA256), tmp_path / "a")
    assert files_of(tmp_path) == []


@pytest.mark.parametrize("value", ["1", "true", "YES"])
def test_offline_means_offline(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("FATHOM_OFFLINE", value)
    assert "FATHOM_OFFLINE is set" in refused(ResourceError, request(server), tmp_path / "a")
    assert server.asked == []
    monkeypatch.setenv("FATHOM_OFFLINE", "0")
    assert not is_offline()


def test_too_little_space_is_said_before_anything_comes(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        part_module.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1000})
    )
    assert "too little space" in refused(ResourceError, request(server), tmp_path / "a")
    assert files_of(tmp_path) == []


def test_a_disk_that_fills_up_leaves_nothing(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Path.open

    class Full:
        def __init__(self, file):
            self.file = file

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def __getattr__(self, name):
            return getattr(self.file, name)

        def write(self, data):
            if self.file.tell() > 100_000:
                raise OSError(errno.ENOSPC, "No space left on device")
            return self.file.write(data)

    monkeypatch.setattr(
        Path, "open", lambda p, mode="r", **k: Full(opened(p, mode, **k)) if "a+b" in mode
        else opened(p, mode, **k),
    )  # fmt: skip
    line = refused(ResourceError, request(server), tmp_path / "a")
    assert "no space left" in line
    assert files_of(tmp_path) == []


def test_a_folder_that_cannot_be_written(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "cannot be written" in refused(ResourceError, request(server), tmp_path / "file" / "a")


def test_two_at_once_are_kept_apart(server: Server, tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    with part_of(tmp_path / "a", server.url, None):
        line = refused(ResourceError, request(server), tmp_path / "a")
    assert "by another process" in line


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd", "ftp://example.org/a", "example.org/a", "https://", "https://[::1",
        "https://example.org/a b", "https://me:secret@example.org/a", "https://example.org:x/a",
        "https://example.org/ä", "https://example.org/a\r\nHost: b",
    ],
)  # fmt: skip
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(UsageError, match="no address") as caught:
        Request(url)
    assert "secret" not in str(caught.value)


def test_http_wants_a_hash() -> None:
    with pytest.raises(UsageError, match="without https"):
        Request("http://example.org/a")
    assert Request("http://example.org/a", SHA256).url
    with pytest.raises(UsageError, match="no SHA-256"):
        Request("https://example.org/a", "abc")


def test_secrets_of_an_address_are_not_shown() -> None:
    assert shown("https://me:pw@example.org/a.pth?token=1#x") == "https://example.org/a.pth"
    assert shown("https://[::1?token=1") == "https://[::1"
