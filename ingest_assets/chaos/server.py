"""An HTTP server on loopback, in a thread of this process, that answers as it is told, whole or not."""

import contextlib
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

from ingest_assets.chaos.asked import Asked

_RESET = struct.pack("ii", 1, 0)  # a socket that is closed so is reset (SO_LINGER of no seconds)
_PIECES = 8

How = Literal["whole", "chunked", "cut", "cut_chunked", "cut_unmarked", "slow", "stalled", "reset", "reset_in_body"]


@dataclass(frozen=True)
class Answer:
    """What is sent back. `how` is whether all of it is: see `How`; `seconds` is how long the slow and stalled take."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    how: How = "whole"
    seconds: float = 0.0


class _Handler(BaseHTTPRequestHandler):
    server: "_Server"
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 30

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = Asked(self.command, self.path, headers, body, time.monotonic())
        with contextlib.suppress(ConnectionError):
            self._send(self.server.answer(asked))

    do_GET = _answer  # noqa: N815 -- http.server calls them by these names
    do_POST = _answer  # noqa: N815
    do_PUT = _answer  # noqa: N815
    do_PATCH = _answer  # noqa: N815
    do_DELETE = _answer  # noqa: N815

    def _send(self, answer: Answer) -> None:
        if answer.how == "reset":
            self._reset()
            return
        chunked = answer.how in ("chunked", "cut_chunked")
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if chunked:
            self.send_header("Transfer-Encoding", "chunked")
        elif answer.how == "cut_unmarked":
            self.send_header("Connection", "close")
        elif answer.status != 304:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self._body(answer)

    def _body(self, answer: Answer) -> None:
        half = answer.body[: len(answer.body) // 2]
        match answer.how:
            case "whole":
                self.wfile.write(answer.body)
            case "chunked" | "cut_chunked":
                text = answer.body if answer.how == "chunked" else half
                self.wfile.write(f"{len(text):x}\r\n".encode() + text + b"\r\n0\r\n\r\n")
            case "slow":
                step = len(answer.body) // _PIECES + 1
                for start in range(0, len(answer.body), step):
                    self.wfile.write(answer.body[start : start + step])
                    time.sleep(answer.seconds / _PIECES)
            case "stalled":
                self.wfile.write(half)
                self.server.over.wait(answer.seconds)
                self.close_connection = True
            case _:
                self.wfile.write(half)
                self.close_connection = True
                if answer.how == "reset_in_body":
                    self._reset()

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.connection.shutdown(socket.SHUT_RD)
        self.close_connection = True


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, answer: Callable[[Asked], Answer]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer, self.over = answer, threading.Event()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """What a client does that goes away in the middle is no fault of the server's."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@contextlib.contextmanager
def serving(answer: Callable[[Asked], Answer]) -> Iterator[str]:
    """The URL of a server that answers by a function until it is left; requests come in threads of their own."""
    with _Server(answer) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, name="chaos")
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.over.set()
            server.shutdown()
            thread.join()
