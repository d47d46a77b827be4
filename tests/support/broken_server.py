"""A web server on loopback that misbehaves as told, and writes down what it was asked."""

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

Manner = Literal[
    "well",  # answers ranges, with a validator
    "no_ranges",  # always the whole file with status 200
    "breaks_off",  # announces the rest, sends a part of it
    "breaks_off_no_ranges",
    "too_short",  # says that the file is shorter than it is
    "too_long",  # says that the file is longer, and sends no more
    "endless",  # says nothing of length and does not stop by itself
    "wrong_range",  # answers a range that was not asked for
    "refuses_range",  # status 416 for any range
    "silent",  # accepts and says nothing
    "busy",  # status 503
    "absent",  # status 404
    "gone_to_ftp",  # redirects to another protocol
]
MOST_BYTES = 64 << 20  # of an endless answer


@dataclass
class Server:
    """What is served, how, and what was asked for.

    Args:
        url: address of the root.
        files: content by path, such as `/a.bmp`.
        manners: of the next requests in turn; the last one stays.
        asked: path and headers of each request so far.
        tag: the validator (ETag) of every file; none where empty.
        part: share of the file at which an answer breaks off.
        endless_bytes: sent so far of an endless answer.
    """

    url: str
    files: dict[str, bytes] = field(default_factory=dict)
    manners: list[Manner] = field(default_factory=lambda: ["well"])
    asked: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)
    tag: str = '"one"'
    part: float = 0.5
    endless_bytes: int = 0
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def ranges(self) -> list[str]:
        """Range header of each request so far, empty where it had none."""
        return [headers.get("Range", "") for _, headers in self.asked]

    def next_manner(self) -> Manner:
        return self.manners.pop(0) if len(self.manners) > 1 else self.manners[0]


@contextlib.contextmanager
def serve() -> Iterator[Server]:
    """Serve on a free port of loopback until the block ends."""
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as http:
        server = Server(f"http://127.0.0.1:{http.server_address[1]}")
        http.RequestHandlerClass = _handler(server)
        http.daemon_threads = True
        thread = threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.stop.set()
            http.shutdown()
            thread.join(timeout=5)


def _handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.asked.append((self.path, dict(self.headers)))
            with contextlib.suppress(ConnectionError):
                _answer(self, server, server.next_manner())
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Keep the test's output clean."""

    return Handler


def _answer(request: BaseHTTPRequestHandler, server: Server, manner: Manner) -> None:
    content = server.files.get(request.path.partition("?")[0], b"")
    plain: dict[Manner, Callable[[], None]] = {
        "absent": lambda: _head(request, 404, {"Content-Length": "0"}),
        "busy": lambda: _head(request, 503, {"Content-Length": "0"}),
        "gone_to_ftp": lambda: _head(request, 302, {"Location": "ftp://127.0.0.1/x"}),
        "silent": lambda: _wait(server),
        "endless": lambda: _send_endlessly(request, server),
    }
    if manner in plain:
        plain[manner]()
        return
    asked = request.headers.get("Range", "")
    fits = request.headers.get("If-Range", server.tag) == server.tag
    start = int(asked[len("bytes=") : -1]) if asked and fits and "no_ranges" not in manner else 0
    if start and manner == "refuses_range":
        _head(request, 416, {"Content-Range": f"bytes */{len(content)}", "Content-Length": "0"})
        return
    _send(request, server, manner, start)


def _send(request: BaseHTTPRequestHandler, server: Server, manner: Manner, start: int) -> None:
    content = server.files[request.path.partition("?")[0]]
    first = 1 if start and manner == "wrong_range" else start
    rest = content[first:]
    length = {"too_short": len(rest) // 2, "too_long": len(rest) + 9}.get(manner, len(rest))
    headers = {"Content-Length": str(length)} | ({"ETag": server.tag} if server.tag else {})
    if start:
        headers["Content-Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
    _head(request, 206 if start else 200, headers)
    sent = max(1, int(len(content) * server.part)) if manner.startswith("breaks") else length
    request.wfile.write(rest[:sent])


def _wait(server: Server) -> None:
    server.stop.wait(10)


def _send_endlessly(request: BaseHTTPRequestHandler, server: Server) -> None:
    _head(request, 200, {})
    while server.endless_bytes < MOST_BYTES and not server.stop.is_set():
        server.endless_bytes += request.wfile.write(bytes(65536))


def _head(request: BaseHTTPRequestHandler, status: int, headers: Mapping[str, str]) -> None:
    request.send_response(status)
    for name, value in headers.items():
        request.send_header(name, value)
    request.end_headers()
