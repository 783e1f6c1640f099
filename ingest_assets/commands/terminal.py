"""What a person at a terminal sees: a line an endpoint while it works, and tables."""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ingest_assets.commands.interrupts import Interrupts
from ingest_assets.errors import IngestError
from ingest_assets.extract.progress import Progress
from ingest_assets.http.traffic import Wait

_LINE_EVERY_SECONDS = 5.0
_KILO = 1000


def printable(text: str) -> str:
    r"""The text with nothing in it that a terminal would obey, but for the ends of its lines.

    >>> printable("a\x1b[2Jb")
    'a\\u001b[2Jb'
    """
    return "".join(c if c.isprintable() or c == "\n" else f"\\u{ord(c):04x}" for c in text)


@dataclass
class _Endpoint:
    """How far one endpoint is, over all partitions of the command."""

    began: float
    last: float
    partitions: int = 0
    pages: int = 0
    records: int = 0
    state: str = ""
    now: dict[str, Progress] = field(default_factory=dict)

    def line(self, name: str) -> str:
        """The line; its rate is that of the time in which something came."""
        pages = self.pages + sum(p.pages for p in self.now.values())
        records = self.records + sum(p.records for p in self.now.values())
        rate = records / max(self.last - self.began, 0.001)
        done = f"{self.partitions} done" if self.partitions else ""
        return f"{name:<20} {done:>7} {pages:>5,} pages {records:>9,} records {rate:>7,.0f}/s  {self.state}"


@dataclass
class TerminalWatcher:
    """A line an endpoint: pages, records, rate, what it waits for. Where there is no terminal, lines now and then."""

    console: Console
    clock: Callable[[], float] = time.monotonic
    interrupts: Interrupts = field(default_factory=Interrupts)
    failures: list[IngestError] = field(default_factory=list)
    _endpoints: dict[str, _Endpoint] = field(default_factory=dict)
    _live: Live | None = None
    _last: float = field(init=False)

    def __post_init__(self) -> None:
        self._last = self.clock()

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self._live = Live(console=self.console, get_renderable=self._shown, refresh_per_second=5)
            self._live.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.update(self._shown(), refresh=True)
            self._live.__exit__(None, None, None)
        else:
            self.console.print(self._shown())

    def page(self, progress: Progress) -> None:
        """See `Watcher`."""
        self.interrupts.check()
        at = self._at(progress.label)
        at.now[progress.label] = progress
        if progress.anew:
            self.console.print(
                f"{progress.label}: begins anew, the unfinished walk is given up: {progress.anew}", soft_wrap=True
            )
        at.state = f"goes on after page {progress.pages - 1}" if progress.resumed else _partition(progress.label)
        self._print_now_and_then(progress.label)

    def wait(self, label: str, wait: Wait) -> None:
        """See `Watcher`."""
        if wait.kind == "job":  # it may take hours; what cancels it may have to wait for a limit
            self.interrupts.check()
        self._at(label).state = f"waits {wait.seconds:.1f} s: {wait.why}"
        self._print_now_and_then(label)

    def loaded(self, label: str) -> None:
        """See `Watcher`."""
        self.interrupts.check()
        at = self._at(label)
        at.partitions += 1
        at.state = "done"
        if progress := at.now.pop(label, None):
            at.pages, at.records = at.pages + progress.pages, at.records + progress.records

    def failed(self, label: str, error: IngestError) -> None:
        """See `Watcher`."""
        self.failures.append(error)
        self._at(label).state = "failed"

    def _at(self, label: str) -> _Endpoint:
        now = self.clock()
        at = self._endpoints.setdefault(label.partition("[")[0], _Endpoint(now, now))
        at.last = now
        return at

    def _shown(self) -> Text:
        lines = [at.line(name) for name, at in self._endpoints.items()]
        return Text("\n".join(lines), no_wrap=True, overflow="ellipsis")

    def _print_now_and_then(self, label: str) -> None:
        now = self.clock()
        if self._live is None and now - self._last >= _LINE_EVERY_SECONDS:
            self._last = now
            name = label.partition("[")[0]
            self.console.print(self._endpoints[name].line(name))


def _partition(label: str) -> str:
    return label.partition("[")[2].removesuffix("]")


def counted(number: int, one: str, many: str = "") -> str:
    """A number with the word for what it counts.

    >>> counted(1, "fetch", "fetches"), counted(1200, "page")
    ('1 fetch', '1,200 pages')
    """
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def table(columns: Sequence[str], rows: Sequence[Sequence[object]], right: Collection[str] = ()) -> Table:
    """Rows as a table: numbers, and the columns named in `right`, to the right; null as nothing."""
    shown = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1, 0, 0))
    cells = [[_cell(value) for value in row] for row in rows]
    for number, name in enumerate(columns):
        if name in right or any(isinstance(row[number], int | float) for row in rows):
            # Cut, a number would be another one: where a screen is narrow, texts go over several lines.
            widest = max(map(len, [*name.split("\n"), *(row[number] for row in cells)]))
            shown.add_column(name, justify="right", no_wrap=True, min_width=widest)
        else:
            shown.add_column(name, overflow="fold")
    for row in cells:
        shown.add_row(*map(Text, row))
    return shown


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def facts(pairs: Sequence[tuple[str, str]]) -> Table:
    """Names and what is to be said of each, over several lines where it is long."""
    shown = Table.grid(padding=(0, 2, 0, 0))
    shown.add_column(no_wrap=True)
    shown.add_column(overflow="fold")
    for name, text in pairs:
        shown.add_row(name, Text(text))
    return shown


def note(sign: str, text: str, style: str = "") -> Table:
    """A finding behind its sign, its further lines below its first."""
    shown = Table.grid(padding=(0, 1, 0, 0))
    shown.add_column(no_wrap=True)
    shown.add_column(overflow="fold")
    shown.add_row(Text(sign, style), Text(text, style))
    return shown


def moment(at: datetime | None) -> str:
    """A time as people read it, in UTC.

    >>> moment(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)), moment(None)
    ('2026-01-02 03:04:05 UTC', 'never')
    """
    return "never" if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def size(count: float) -> str:
    """A number of bytes as people read it.

    >>> size(512), size(1_536_000), size(27_400_000_000)
    ('512 B', '1.5 MB', '27.4 GB')
    """
    if count < _KILO:
        return f"{count:.0f} B"
    for unit in ("kB", "MB", "GB"):
        count /= _KILO
        if count < _KILO:
            return f"{count:.1f} {unit}"
    return f"{count / _KILO:,.1f} TB"
