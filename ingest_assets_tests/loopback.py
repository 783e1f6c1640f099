"""A server of a test's own on loopback, in a thread of its process."""

import contextlib
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


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
