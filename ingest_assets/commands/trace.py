"""The last requests to an API: what a person looks at who asks why it is slow, or what it refused."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ingest_assets.assets.plan import chosen
from ingest_assets.commands.down import down, print_down
from ingest_assets.commands.output import Output
from ingest_assets.commands.terminal import table
from ingest_assets.http.page import origin
from ingest_assets.http.trace import TraceLog
from ingest_assets.line import trace_file
from ingest_assets.source import Source

_GOOD = range(200, 400)


def trace(sources: Mapping[str, Source], name: str, data: Path, out: Output, *, most: int, failed: bool) -> None:
    """Print the last requests of a source, or of one endpoint, oldest first. ConfigError where there is no such one."""
    chosen(sources, [name])
    source, _, endpoint = name.partition(".")
    kept = TraceLog(trace_file(data, source)).kept()
    wanted = [a for a in kept if (not endpoint or a["endpoint"] == endpoint) and (not failed or _failed(a))]
    shown = wanted[-most:] if most > 0 else []
    broken = down(sources, [source])
    _print(name, shown, len(wanted), out)
    print_down(broken, out)
    out.document({"name": name, "requests": shown, "down": broken.get(source, [])})


def _failed(asked: Mapping[str, Any]) -> bool:
    return asked["problem"] is not None or asked["status"] not in _GOOD


def _print(name: str, shown: list[dict[str, Any]], kept: int, out: Output) -> None:
    if not shown:
        out.console.print(f"{name}: no such request is kept. Next: ingest run {name}")
        return
    day = ""
    columns = ["time", "status", "ms", "bytes", "try", "wait", "request"]
    tells = any(_left(asked) for asked in shown)
    if tells:
        columns.insert(-1, "left")
    rows: list[tuple[object, ...]] = []
    for asked in shown:
        if asked["at"][:10] != day:
            day = asked["at"][:10]
            rows.append((day, *[None] * (len(columns) - 2), origin(asked["url"])))
        *facts, said = _row(asked)
        rows.append((*facts, _left(asked), said) if tells else (*facts, said))
    out.console.print(table(columns, rows))
    out.console.print(f"\n{len(shown):,} of {kept:,} requests that are kept, times in UTC")


def _left(asked: Mapping[str, Any]) -> str:
    """What was left of the API's allowance: its name is in the document."""
    return (asked.get("left") or "").partition(" (")[0]  # lines of an earlier version have none


def _row(asked: Mapping[str, Any]) -> tuple[object, ...]:
    path = "/" + asked["url"].partition("://")[2].partition("/")[2]
    path = path.replace("%5B", "[").replace("%5D", "]")
    said = f"{asked['method']} {path}" if asked["method"] != "GET" else path
    if asked["problem"]:
        said += f"\n✗ {asked['problem']}"
    wait = f"{asked['wait_seconds']:.1f} s" if asked["wait_seconds"] else ""
    attempt = asked["attempt"] if asked["attempt"] > 1 else None
    milliseconds = round(asked["milliseconds"])
    return (asked["at"][11:19], asked["status"] or "none", milliseconds, asked["bytes"], attempt, wait, said)
