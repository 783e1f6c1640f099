"""The head of an answer, read so that one odd line loses no other; and all of it, so that it ends (`steady`).

    HTTP/1.1 103 Early Hints      an answer before the answer: passed over with its headers (RFC 9110 §15.2)

    HTTP/1.1 200 OK
    Content-Length: 12
    Served by: 7                  no header: passed over
    Link : </2>; rel="next"       read without the space before the colon (RFC 9112 §5.1)

http.client takes the first line that is no header for the end of them all: the next page's link behind it would be lost
without a word. And it takes 103 for the status.
"""

import http.client
import io
import re
import socket
from collections.abc import Mapping
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

from ingest_assets.http.steady import Steady

_INTERIM = re.compile(rb"HTTP/1\.[01] +1(?!01)\d\d\b")
_NAMED = re.compile(rb"([!-9;-~]+)[ \t]*(:.*)", re.DOTALL)
_ENDS = (b"\r\n", b"\n", b"")
_MOST_PASSED_OVER = 1000


class _Head:
    """What http.client reads the status and headers from, line by line."""

    def __init__(self, stream: Any) -> None:
        self._stream, self._begun, self._is_passing, self._passed = stream, False, False, 0

    def close(self) -> None:
        """As http.client does where the status cannot be read."""
        self._stream.close()

    def readline(self, most: int) -> bytes:
        """The status line, then one header after the other, then a line with nothing."""
        if self._begun:
            return self._header(most)
        self._begun = True
        while _INTERIM.match(line := self._stream.readline(most)):
            while self._stream.readline(most) not in _ENDS:
                self._pass_over()
            self._pass_over()
        return bytes(line)

    def _header(self, most: int) -> bytes:
        while (line := self._stream.readline(most)) not in _ENDS and len(line) < most:
            line = line.rstrip(b"\r\n").replace(b"\r", b" ") + b"\r\n"  # one inside would end it (RFC 9112 §2.2)
            goes_on, named = line[:1] in b" \t", _NAMED.match(line)
            self._is_passing = self._is_passing if goes_on else named is None
            if not self._is_passing:
                return bytes(line) if named is None else b"".join(named.groups())
            self._pass_over()
        return bytes(line)

    def _pass_over(self) -> None:
        self._passed += 1
        if self._passed > _MOST_PASSED_OVER:
            raise http.client.LineTooLong("header line")


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *told: Any, **more: Any) -> None:
        super().__init__(sock, *told, **more)
        seconds = sock.gettimeout()
        if seconds is not None:
            self.fp = io.BufferedReader(Steady(self.fp.detach(), seconds))

    def begin(self) -> None:
        stream = self.fp
        self.fp = _Head(stream)  # type: ignore[assignment]
        try:
            super().begin()
        finally:
            if self.fp is not None:  # None: it was closed
                self.fp = stream


class _Http(HTTPConnection):
    response_class = _Response


class _Https(HTTPSConnection):
    response_class = _Response


class _HttpPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Http


class _HttpsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _Https


POOLS: Mapping[str, type[urllib3.HTTPConnectionPool]] = {"http": _HttpPool, "https": _HttpsPool}
"""The pools of connections that read heads so, by scheme."""
