"""A paginated API on loopback that is never the bottleneck: it sends slices of a file.

GET /orders/100000?limit=1000&cursor=2000     {"data": [...], "next": "3000"}; `next` is null at the end
"""

import json
import mmap
import sys
from array import array
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from benchmarks.records import made

_OPENED: dict[str, tuple[mmap.mmap, "array[int]"]] = {}


def _opened(path: str) -> tuple[mmap.mmap, "array[int]"]:
    if path not in _OPENED:
        kind, count = path.strip("/").split("/")
        file = made(kind, int(count))
        ends = array("Q", file.with_suffix(".ends").read_bytes())
        with file.open("rb") as content:
            _OPENED[path] = mmap.mmap(content.fileno(), 0, access=mmap.ACCESS_READ), ends
    return _OPENED[path]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 20

    def do_GET(self) -> None:
        asked = urlsplit(self.path)
        query = parse_qs(asked.query)
        text, ends = _opened(asked.path)
        first = int(query.get("cursor", ["0"])[0])
        last = min(first + int(query["limit"][0]), len(ends) - 1)
        rest = json.dumps(str(last) if last < len(ends) - 1 else None).encode()
        parts = [b'{"data":[', memoryview(text)[ends[first] : ends[last] - 1], b'],"next":' + rest + b"}"]
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(sum(map(len, parts))))
        self.end_headers()
        for part in parts:
            self.wfile.write(part)

    def log_message(self, *_: object) -> None:
        pass


def main() -> None:
    """Serve until stdin is closed; the first line of stdout is the base URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    import threading

    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()


if __name__ == "__main__":
    main()
