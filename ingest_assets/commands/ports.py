"""Ports of this machine to serve on."""

import contextlib
import errno
import socket

from ingest_assets.errors import ConfigError, TransientFailure

_LAST = 65_535
_TAKEN = (errno.EADDRINUSE, errno.EACCES, errno.EPERM)


def free_port(first: int, host: str) -> int:
    """`first`, or the next port that nobody listens on."""
    last = min(first + 99, _LAST)
    for port in range(first, last + 1):
        if _is_free(host, port):
            return port
    raise TransientFailure(f"no port from {first} to {last} is free on {host}; name one by --port")


def named_port(port: int, host: str) -> int:
    """This port and no other: whoever named it, such as a proxy, will not look for the next one."""
    if not _is_free(host, port):
        raise TransientFailure(f"port {port} on {host} is taken, or not yours; end who has it, or name another")
    return port


def _is_free(host: str, port: int) -> bool:
    with contextlib.closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno in _TAKEN:
                return False
            raise ConfigError(
                f"--host {host}: {error.strerror}; expected an address of this machine, such as 127.0.0.1"
            ) from error
    return True
