"""A walk through one partition of an API, page by page, into a snapshot.

    first request ─► page ─► stored, then decoded ─► paginator ─► next request ─► … ─► verdict

A page counts once it is stored: a walk that dies goes on after its last stored page. Where pages are asked for by
their place, records may have moved meanwhile: it goes on with that page once again, and what comes twice counts as
duplicates. The verdict says why the walk ended. What does not end for a stated, acceptable reason is a failure, or
`incomplete` where the source file says that this is to be loaded with a warning.
"""

import contextlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from msgspec import Struct
from msgspec.structs import asdict

from ingest_assets.errors import ConfigError, CursorExpired, PartsFailed, RequestFailed, WalkIncomplete
from ingest_assets.extract.chain import End
from ingest_assets.extract.expected import check, counted, expected
from ingest_assets.extract.gap import check_gap
from ingest_assets.extract.neighbours import check_bounds
from ingest_assets.extract.progress import Progress
from ingest_assets.extract.reading import page_of, refuse_made
from ingest_assets.extract.request import Walk, fingerprint, first_request
from ingest_assets.extract.storing import PART, Storing
from ingest_assets.extract.walking import Walking
from ingest_assets.http.client import Client
from ingest_assets.http.page import PageRequest
from ingest_assets.http.traffic import Wait
from ingest_assets.raw.forgotten import Forgotten, read, reader
from ingest_assets.raw.snapshots import Bounds, Manifest, OpenSnapshot, Snapshot, Snapshots

if TYPE_CHECKING:
    from ingest_assets.extract.crew import Another
    from ingest_assets.extract.jobs import Control


class Puller(Struct, frozen=True):
    """Fetches partitions of one endpoint; the caller holds the partition's lock.

    `begin` gives a new fetch its number and start time. `another` makes clients for threads that ask for pages at
    once; without it pages are asked for one by one. Of what threads wait for, `on_wait` is told. `control` is for
    endpoints whose records the API makes by a job. `newest` is the partition's newest fetch, where that is loaded.
    """

    client: Client
    snapshots: Snapshots
    begin: Callable[[Walk], tuple[int, datetime]]
    run: str
    show: Callable[[Progress], None] = lambda _: None
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    another: "Another | None" = None
    on_wait: Callable[[Wait], None] = lambda _: None
    control: "Control | None" = None
    newest: Callable[[], Snapshot | None] = lambda: None

    def fetch(self, walk: Walk) -> Snapshot:
        """Walk the partition to its end, from where an unfinished walk of the same request stopped.

        The snapshot's verdict is complete; open, where its period was not over and settled when the fetch began; or
        incomplete where the source file allows it. Anything else is raised:
        WalkIncomplete and RequestFailed end the fetch as failed; after a TransientFailure or a crash it can go on.
        Where the API no longer knows where an unfinished walk stopped, that is given up and a new one begins at once.
        """
        refuse_made(walk, self._kept_out(walk))
        first = first_request(walk)
        opened = self._unfinished(walk, first) or self._new(walk, first)
        walking = self._walking(walk, opened)
        try:
            return self._reached(walking)
        except CursorExpired as error:
            self._give_up(walk, opened, str(error))
            return self._reached(self._walking(walk, self._new(walk, first)))

    def _reached(self, walking: Walking) -> Snapshot:
        """The fetch once it has ended; raises what `fetch` raises."""
        walk, opened = walking.walk, walking.opened
        try:
            self._count(walk, opened)
            end = self._ended(walking)
            check(walk, opened.counted, end.received)
            check_bounds(walk, opened, self.snapshots)
        except PartsFailed as error:
            if walk.endpoint.write not in ("merge", "history"):  # it goes on with what it did not reach
                if error.stored:
                    self._end(walking, "failed", str(error))
                raise
            return self._end(walking, "incomplete", str(error), walking.reached)
        except WalkIncomplete as error:
            if walk.endpoint.incomplete == "fail":
                self._end(walking, "failed", str(error))
                raise
            return self._end(walking, "incomplete", str(error))
        except CursorExpired:
            raise
        except (RequestFailed, ConfigError) as error:
            self._end(walking, "failed", str(error))
            raise
        settles = walk.endpoint.settled_at(walk.partition)
        is_open = settles is not None and opened.manifest.started < settles
        return self._end(walking, "open" if is_open else "complete", end.reason + _unsure(walking), end)

    def _ended(self, walking: Walking) -> End:
        """How all parts ended; jobs that go on are cancelled where that is not to be."""
        jobs = walking.storing.jobs
        with contextlib.ExitStack() as leaving:
            leaving.callback(walking.opened.sync)
            leaving.enter_context(self.client.telling(walking.rest))
            if jobs is not None:
                leaving.enter_context(jobs.cancelling(self.client))
            return walking.end()

    def _walking(self, walk: Walk, opened: OpenSnapshot) -> Walking:
        jobs, before = None, None
        if walk.endpoint.job is not None:
            from ingest_assets.extract.jobs import Control, Jobs

            jobs = Jobs(walk, opened.jobs, self.control or Control(), self.now)
            opened.sync_each()
        if walk.endpoint.only_if_changed:
            from ingest_assets.extract.unchanged import former

            before = former(walk, self.newest())
        storing = Storing(walk, opened.manifest.started, reader(self._folder(walk)), jobs, before)
        self._show(walk, opened, resumed=len(opened.pages) > 0)
        return Walking(storing, opened, self.client, self.another, lambda: self._show(walk, opened), self.on_wait)

    def _unfinished(self, walk: Walk, first: PageRequest) -> OpenSnapshot | None:
        opened = self.snapshots.unfinished(walk.source.name, walk.name, walk.partition)
        if opened is None:
            return None
        why_not = self._why_not(walk, first, opened)
        if why_not is None:
            return opened
        self._give_up(walk, opened, why_not)
        return None

    def _give_up(self, walk: Walk, opened: OpenSnapshot, why: str) -> None:
        opened.end("given_up", why)
        self.show(Progress(walk.label, 0, 0, 0, anew=why))

    def _why_not(self, walk: Walk, first: PageRequest, opened: OpenSnapshot) -> str | None:
        """Why an unfinished walk cannot go on, if so."""
        age = self.now() - opened.manifest.started
        if opened.manifest.fingerprint != fingerprint(walk, first):
            return "the source file asks for something else since"
        if age > walk.source.resume_within:
            return f"unfinished for {age}"
        if walk.endpoint.paginator.by_place and opened.pages and not walk.endpoint.primary_key:
            return "it would ask for a page again, and without a primary_key records that come twice cannot be told"
        if walk.endpoint.parents.batch > 1 and not walk.endpoint.primary_key and _has_others(walk, opened):
            return "its batches hold other parents by now, and without a primary_key what comes twice cannot be told"
        return None

    def _new(self, walk: Walk, first: PageRequest) -> OpenSnapshot:
        self._check_over(walk)
        check_gap(walk, self.snapshots, self.now())
        number, started = self.begin(walk)
        bounds = walk.bounds
        return self.snapshots.begin(
            Manifest(
                source=walk.source.name,
                endpoint=walk.name,
                partition=walk.partition,
                fetch=number,
                started=started,
                fingerprint=fingerprint(walk, first),
                bounds=None if bounds is None else Bounds(*bounds),
                run=self.run,
                completes=walk.completes,
            )
        )

    def _check_over(self, walk: Walk) -> None:
        """A period that has not settled would be taken for complete, or is to be fetched as open."""
        bounds, settles, now = walk.bounds, walk.endpoint.settled_at(walk.partition), self.now()
        if bounds is None or settles is None or settles <= now:
            return
        if bounds[0] > now:
            raise WalkIncomplete(f"{walk.label}: it has not begun: its first moment is {bounds[0].isoformat()}")
        if walk.endpoint.partitions is None or not walk.endpoint.partitions.open:
            raise WalkIncomplete(
                f"{walk.label}: it is not over: it counts as closed from {settles:%Y-%m-%d %H:%M} UTC on. To fetch it "
                "while it runs, say `open: true` under partitions"
            )

    def _count(self, walk: Walk, opened: OpenSnapshot) -> None:
        """Ask how many records there are before the first of them is asked for; a walk that goes on knows it.

        Where each parent is counted by itself, its first page has the number.
        """
        if walk.endpoint.counts_parents:
            return
        if opened.manifest.counted is None and (told := counted(self.client, walk, self.now())) is not None:
            opened.count(told)

    def _end(
        self,
        walking: Walking,
        verdict: Literal["complete", "open", "incomplete", "failed"],
        reason: str,
        end: End | None = None,
    ) -> Snapshot:
        walk, opened = walking.walk, walking.opened
        first = page_of(opened.pages[0], 0) if len(opened.pages) else None
        told = expected(walk, first, None, 0) if end is None else end.expected
        snapshot = opened.end(
            verdict,
            reason,
            position=end.position if end is not None else None,
            expected=opened.counted or told,
            traffic=asdict(walking.traffic),
        )
        if (kept_out := self._kept_out(walk)).rules:
            from ingest_assets.raw.erase import tidy

            tidy(snapshot, kept_out, self.now())
        return Snapshot(snapshot.folder)

    def _kept_out(self, walk: Walk) -> Forgotten:
        return read(self._folder(walk))

    def _folder(self, walk: Walk) -> Path:
        return self.snapshots.endpoint_folder(walk.source.name, walk.name)

    def _show(self, walk: Walk, opened: OpenSnapshot, *, resumed: bool = False) -> None:
        self.show(Progress(walk.label, len(opened.pages), opened.records, opened.bytes, resumed))


def _unsure(walking: Walking) -> str:
    jobs = walking.storing.jobs
    return jobs.unsure if jobs is not None else ""


def _has_others(walk: Walk, opened: OpenSnapshot) -> bool:
    """Whether pages are stored of other parts than those that the walk begins with."""
    keys = {part.key for part in walk.parts or ()}
    return any(entry.note.get(PART) not in keys for entry in opened.pages)
