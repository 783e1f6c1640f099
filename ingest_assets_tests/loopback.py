"""A server of a test's own on loopback, in a thread of its process."""

import contextlib
import json
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Replying(BaseHTTPRequestHandler):
    """What handlers of tests share: nothing is logged, bodies are read whole, and answers say how long they are."""

    def do_GET(self) -> None:
        """As its subclass says."""
        self.get()

    def do_POST(self) -> None:
        """The same for all methods that bring a body."""
        self.post()

    do_PUT = do_PATCH = do_DELETE = do_POST  # noqa: N815 -- the names that the server looks for

    def get(self) -> None:
        """Answer a GET."""
        raise NotImplementedError

    def post(self) -> None:
        """Answer a POST, and what is like it."""
        raise NotImplementedError

    def log_message(self, *_: Any) -> None:
        """Nothing: a test shows what its server was asked where that matters."""

    def body(self) -> bytes:
        """What came with the request."""
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def send(
        self, status: int, told: Any, headers: Mapping[str, str | Sequence[str]] | None = None, *, cut: bool = False
    ) -> None:
        """Answer with bytes as they are, anything else as JSON; only half of it where it is to be `cut`."""
        text = told if isinstance(told, bytes) else json.dumps(told).encode()
        self.send_response(status)
        for name, values in (headers or {}).items():
            for value in [values] if isinstance(values, str) else values:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text[: len(text) // 2] if cut else text)
        self.close_connection = self.close_connection or cut


class Loopback(ThreadingHTTPServer):
    """A server on a free port; handlers find what a test has told it as its attributes."""

    daemon_threads = True

    def __init__(self, handler: type[BaseHTTPRequestHandler], **told: Any) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        vars(self).update(told)

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """What a client does that goes away in the middle is no fault of the server's."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@contextlib.contextmanager
def serving(handler: type[BaseHTTPRequestHandler], **told: Any) -> Iterator[Loopback]:
    """A server that answers until it is left."""
    with Loopback(handler, **told) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
