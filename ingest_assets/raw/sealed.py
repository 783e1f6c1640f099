"""A JSON object on a line of its own, with a checksum: a torn or altered line is told from a whole one."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

_SEAL = b',"seal":"%s"}\n'
_SEAL_BYTES = len(_SEAL % (b"0" * 16))
_as_json = json.JSONEncoder(separators=(",", ":")).encode


def _seal(content: bytes) -> bytes:
    return _SEAL % hashlib.sha256(content).hexdigest()[:16].encode()


def sealed(told: Mapping[str, Any]) -> bytes:
    """The object as one line of ASCII, its checksum last.

    >>> sealed({"number": 1})
    b'{"number":1,"seal":"3ea23119df60fb7b"}\\n'
    """
    content = _as_json(told).encode()[:-1]
    return content + _seal(content)


def unsealed(line: bytes) -> dict[str, Any]:
    """The object of a line that `sealed` wrote; ValueError for any other line.

    >>> unsealed(sealed({"number": 1}))
    {'number': 1}
    """
    content = line[:-_SEAL_BYTES]
    if line[-_SEAL_BYTES:] != _seal(content):
        raise ValueError("is not the line that was written: its checksum differs")
    told: dict[str, Any] = json.loads(content + b"}")
    return told
