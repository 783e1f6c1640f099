"""Where a command's words go: tables for a person, or one JSON document for a program.

A command takes an `Output`, prints for people on `console`, shows how it gets on by `progress`, and says the same by
`document` once, at its end:

    def status(…, output: Output) -> bool:
        output.console.print(table(columns, rows))
        output.document({"endpoints": [...]}, ok=not problems)

With `--json`, stdout holds exactly one document, whatever happens: the command's, or that of its error. `ok` is true
where the exit code is 0. What people read goes to stderr then: progress, and the error's text.

    {"ok": true, "endpoints": [{"endpoint": "stripe.charges", "rows": 631, …}]}
    {"ok": false, "error": {"kind": "ConfigError", "message": "…", "exit_code": 2}}

Keys are small words with `_`; times are ISO 8601 in UTC; what has a unit says it in its name; sizes are in bytes;
missing is null. Keys may be added, and are not renamed or removed within a version.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, is_dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
from rich.console import Console

_WHOLE_LINES = 100_000


@dataclass(frozen=True)
class Output:
    """`console` is for results that people read, silent where the document says the same; `progress` for the way."""

    console: Console
    progress: Console
    as_json: bool = False

    def document(self, told: Mapping[str, Any], *, ok: bool = True) -> None:
        """Print the command's result as JSON, where that was asked for; values may be times, numbers, dataclasses."""
        if self.as_json:
            print_document({"ok": ok, **told})


def output(*, as_json: bool = False) -> Output:
    """Tables on stdout, or a document there and progress on stderr."""
    if not as_json:
        people = console()
        return Output(people, people)
    return Output(console(quiet=True), console(stderr=True), as_json=True)


def console(*, stderr: bool = False, quiet: bool = False) -> Console:
    """Where people read: lines are broken for a terminal, and whole in a pipe or a file, where programs look for them.

    Colours are as NO_COLOR and FORCE_COLOR say.
    """
    made = Console(highlight=False, markup=False, stderr=stderr, quiet=quiet)
    if not made.is_terminal:
        made.width = _WHOLE_LINES
    return made


def print_document(told: Mapping[str, Any]) -> None:
    """Print one JSON document on stdout; where its encoding is not UTF-8, in ASCII, which all others hold."""
    sys.stdout.write(json_text(told, in_ascii=(sys.stdout.encoding or "utf-8").lower() not in ("utf-8", "utf8")) + "\n")
    sys.stdout.flush()


def json_text(told: Any, *, in_ascii: bool = False) -> str:
    """A value as JSON text, as documents write it.

    >>> from decimal import Decimal
    >>> json_text({"at": datetime(2026, 1, 2, 3, tzinfo=UTC), "amount": Decimal("1.50"), "took": timedelta(minutes=1)})
    '{"at": "2026-01-02T03:00:00Z", "amount": "1.50", "took": 60.0}'
    """
    return json.dumps(told, ensure_ascii=in_ascii, default=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        moment = value if value.tzinfo is None else value.astimezone(UTC)
        return moment.isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, msgspec.Struct):
        return msgspec.structs.asdict(value)
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    # Exact: a decimal or a uuid would lose digits or meaning as anything but its text.
    return str(value)
