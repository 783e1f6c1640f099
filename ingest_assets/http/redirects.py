"""Redirects that would make another request of the one that was asked: the answer would be of something else."""

from urllib.parse import parse_qsl, urlsplit


def lost_on_the_way(asked: str, target: str, *, body: bool) -> str | None:
    """What of a request its redirect leaves out, where that leads to the same path but for a slash; else None.

    To somewhere else a redirect may lead with other parameters: to a file that was made, say. To the same place
    without them it would bring everything, or the first page. `body` is whether the request's body is left out.

    >>> lost_on_the_way("https://x.example/things?from=1&until=2", "https://x.example/things/?until=2", body=False)
    "parameter 'from'"
    >>> lost_on_the_way("https://x.example/report?day=1", "https://x.example/files/7", body=False) is None
    True
    """
    here, there = urlsplit(asked), urlsplit(target)
    if here.path.rstrip("/") != there.path.rstrip("/"):
        return None
    kept = {name for name, _ in parse_qsl(there.query, keep_blank_values=True)}
    lost = [name for name, _ in parse_qsl(here.query, keep_blank_values=True) if name not in kept]
    if lost:
        return f"parameter {lost[0]!r}"
    return "its body" if body else None
