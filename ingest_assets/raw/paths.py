"""The name of a folder for a partition's key: reversible, and safe on every file system.

Keys hold `:`, `+`, `/` or letters of any script, may be `.` or `..`, and may differ by case only, which some file
systems do not tell apart. So all but small letters, digits, `-`, `_` and inner dots is percent-encoded (RFC 3986
§2.1, of UTF-8), capitals too, in small hex digits.
"""

import hashlib
import re
from urllib.parse import unquote_to_bytes

_NO_PARTITION = "_"
_EMPTY = "%"
_MAX_BYTES = 200
_HASH_MARK = "%-"
_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789-_.")
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)")  # devices on Windows, whatever their suffix


def _escaped(key: str) -> str:
    octets = key.encode("utf-8", "surrogatepass")
    return "".join(chr(octet) if octet in _PLAIN else f"%{octet:02x}" for octet in octets)


def _safe(name: str) -> str:
    """The name without what only its place makes unsafe: an outer dot, a device's name, our own `_`."""
    if name.startswith(".") or name == _NO_PARTITION or _RESERVED.match(name):
        name = f"%{ord(name[0]):02x}{name[1:]}"
    return f"{name[:-1]}%2e" if name.endswith(".") else name


def encoded(key: str | None) -> str:
    """The folder's name for a partition's key; None is an endpoint without partitions.

    Longer than 200 bytes, it is cut and ends in a hash: the true key is in the manifest.

    >>> encoded("2026-01-01"), encoded("EU|a/b"), encoded(".."), encoded(None), encoded("_")
    ('2026-01-01', '%45%55%7ca%2fb', '%2e%2e', '_', '%5f')
    """
    if key is None:
        return _NO_PARTITION
    name = _safe(_escaped(key)) or _EMPTY
    if len(name) <= _MAX_BYTES:
        return name
    digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:40]
    return f"{name[: _MAX_BYTES - 60]}{_HASH_MARK}{digest}"


def decoded(name: str) -> str | None:
    """The key that `encoded` gave this name; ValueError for a name that was cut and ends in a hash.

    >>> decoded("%45%55%7ca%2fb"), decoded("_"), decoded("%5f")
    ('EU|a/b', None, '_')
    """
    if _HASH_MARK in name:
        raise ValueError(f"{name!r} is cut: the key is in the manifest")
    if name == _NO_PARTITION:
        return None
    return "" if name == _EMPTY else unquote_to_bytes(name).decode("utf-8", "surrogatepass")
