"""Jobs of an API: what is fetched has to be made first.

    noted ─► create ─► its number noted ─► look, wait, look, … ─► done ─┬─► pages of the endpoint's own request
      ▲                                            │                    └─► files that the status names, one part each
      └── a process that goes on begins here       └─► failed, gone, too long: the fetch fails, the job is cancelled

Each note is on disk before what it announces is done, so that a process that dies leaves a job that the next one goes
on with. Only between the request to make it and its answer nobody knows whether there is a job: an API that takes an
idempotency key gives the same one again, one that lists its jobs is asked, and of any other the verdict says so.
"""

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

from msgspec import Struct, field
from msgspec.structs import replace

from ingest_assets.durations import clock, spoken
from ingest_assets.errors import CursorExpired, IngestError, NotBefore, RequestFailed, StorageFailed, TransientFailure
from ingest_assets.extract import job_answers as answers
from ingest_assets.extract.chain import Ask, End, chain
from ingest_assets.extract.crew import Another
from ingest_assets.extract.job_files import in_order, marks, parts
from ingest_assets.extract.job_places import place
from ingest_assets.extract.request import File, Walk, filled, headers_of, job_base, job_request, values_of
from ingest_assets.http.answer import Response
from ingest_assets.http.client import Client
from ingest_assets.http.naming import origin_of
from ingest_assets.http.page import Page, SignedRequest
from ingest_assets.http.paginators.links import next_url
from ingest_assets.http.retry import retry_after
from ingest_assets.http.total import Expected
from ingest_assets.raw.jobs import JobNote, Kept
from ingest_assets.raw.snapshots import IndexEntry
from ingest_assets.source.job import Job

T = TypeVar("T")

REASON = "job_done"
_MOST_CREATES = 3
_GROWTH = 1.5
_LEARNT_WITHIN = timedelta(minutes=1)
_NO_LONGER_SIGNED = (401, 403, 404, 410)


class Control(Struct, frozen=True):
    """What jobs need beside a client: one for their own base_url, and where the places of those at work are."""

    client: Another | None = None
    places: Path | None = None


class Made(Struct, frozen=True):
    """What a job that is done has made: values for placeholders, and the URLs of its files where it names them."""

    values: Mapping[str, str]
    files: tuple[str, ...] | None


class Jobs(Struct):
    """The jobs of one fetch; its threads share them. `kept` are their notes."""

    walk: Walk
    kept: Kept
    control: Control
    now: Callable[[], datetime]
    _files: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _before: frozenset[str] = frozenset()
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._before = frozenset(note.part for note in self.kept.all() if note.id is not None and not _is_over(note))

    def chain(self, client: Client, walk: Walk, stored: Iterable[IndexEntry], ask: Ask) -> End:
        """How a part ended: once its job is done, by its pages, or by the files that are to be walked after it."""
        if walk.part is not None and walk.part.file is not None:
            return chain(walk, stored, ask)
        made = self.made(client, walk)
        if made.files is not None:
            return End(REASON, Expected(0), position=walk.position, more=tuple(parts(walk, made.files)))
        try:
            return chain(replace(walk, job=made.values), stored, ask)
        except RequestFailed as error:
            if error.status in _job(walk).gone and _key(walk) in self._before:
                raise self._gone(walk, self._note(walk), str(error)) from error
            raise

    def made(self, client: Client, walk: Walk) -> Made:
        """What the job of a part has made, once it is done: it is created, or gone on with, and looked at till then."""
        job = _job(walk)
        most = walk.source.jobs_at_once
        with contextlib.ExitStack() as held:
            if most is not None and self.control.places is not None:
                held.enter_context(place(self.control.places, most, walk.label, job.within, client.pause))
            control = held.enter_context(self._controlled(client, walk))
            note, first = self._begun(control, walk)
            page = self._awaited(control, walk, note, first)
        values = {"id": note.id or "", **answers.told(job, page, walk.label)}
        files = answers.files(job, page, job_base(walk), walk.label)
        status = answers.unsigned(page.envelope)
        self.kept.add(replace(note, over="done", values=values, status=status, marks=tuple(map(marks, files or ()))))
        self._files[_key(walk)] = files or ()
        return Made(values, files)

    def download(self, client: Client, walk: Walk, file: File, receive: Callable[[Response], T]) -> T:
        """What `receive` makes of a file; at another origin than the endpoint's it is asked for without credentials."""
        url = self._url(client, walk, file)
        try:
            return client.fetch(self._file_request(client, walk, url), receive, elsewhere=True)
        except RequestFailed as error:
            if error.status not in _NO_LONGER_SIGNED:
                raise
            refused = error
        fresh = self._url(client, walk, file, again=True)
        if fresh == url:
            raise self._gone(walk, self._note_of(file.job), str(refused)) if file.job in self._before else refused
        return client.fetch(self._file_request(client, walk, fresh), receive, elsewhere=True)

    @contextlib.contextmanager
    def cancelling(self, client: Client) -> Iterator[None]:
        """Cancel what goes on where the fetch fails for good inside, or is interrupted."""
        try:
            yield
        except (TransientFailure, StorageFailed):  # the fetch goes on later, with the same jobs
            raise
        except BaseException:
            self.cancel(client)
            raise

    def cancel(self, client: Client) -> None:
        """End the jobs that go on, where the file says how; what cannot be cancelled is told of."""
        told = _job(self.walk).cancel
        for note in self.kept.all() if told is not None else ():
            if note.id is None or note.over is not None or told is None:
                continue
            walk = replace(self.walk, job={"id": note.id})
            try:
                with self._controlled(client, walk) as control:
                    answers.answered(control, job_request(walk, told), walk.label, once=True)
            except IngestError as error:
                client.pause(0.0, f"job {note.id} could not be cancelled: {error}")
            else:
                self.kept.add(replace(note, over="cancelled"))

    @property
    def unsure(self) -> str:
        """What the verdict says of jobs that nobody knows of; nothing where there are none."""
        count = sum(note.unsure for note in self.kept.all())
        more = "a job" if count == 1 else f"{count} jobs"
        return (
            f"; the API may have made {more} more: no answer told, and it takes no key by which to find it"
            if count
            else ""
        )

    @contextlib.contextmanager
    def _controlled(self, client: Client, walk: Walk) -> Iterator[Client]:
        """The client for requests about jobs: the walk's own, unless they go to another origin."""
        if origin_of(job_base(walk)) == client.origin or self.control.client is None:
            yield client
            return
        with client.beside(self.control.client) as control:
            yield control

    def _begun(self, control: Client, walk: Walk) -> tuple[JobNote, float]:
        """The job of a part, and the seconds before the first look at it."""
        note, job = self.kept.get(_key(walk)), _job(walk)
        if note is None or _is_over(note):
            return self._created(control, walk, 0)
        if note.id is not None:
            return note, 0.0
        if job.create.idempotency is not None:
            return self._sent(control, walk, note)
        if job.find is None:
            return self._created(control, walk, note.unsure + 1)
        found = self._found(control, walk, note)
        return (found, 0.0) if found is not None else self._created(control, walk, note.unsure)

    def _created(self, control: Client, walk: Walk, unsure: int) -> tuple[JobNote, float]:
        note = JobNote(_key(walk), str(uuid4()), self.now().isoformat(), unsure=unsure)
        job = _job(walk)
        for tries in range(1, _MOST_CREATES + 1):
            self.kept.add(note)
            try:
                return self._sent(control, walk, note)
            except NotBefore:  # it was refused, or never sent
                self.kept.add(replace(note, over="failed"))
                raise
            except TransientFailure as failure:
                if tries == _MOST_CREATES or job.create.idempotency is not None:
                    raise
                control.pause(job.every.total_seconds() * tries, f"{failure}. Whether there is a job is not known")
            if job.find is not None and (found := self._found(control, walk, note)) is not None:
                return found, 0.0
            note = replace(note, unsure=note.unsure + (job.find is None))
        raise AssertionError("a try returns or raises")

    def _sent(self, control: Client, walk: Walk, note: JobNote) -> tuple[JobNote, float]:
        """The job once the API has named it, and its number is on disk."""
        job = _job(walk)
        request, header = job_request(walk, job.create), job.create.idempotency
        if header is not None:
            request = replace(request, headers=(*request.headers, (header, note.key)))
        page = answers.answered(control, request, walk.label, once=header is None)
        answers.refuse_errors(job, page, walk.label, "the answer to `create`")
        number = answers.text_at(job.id, page, walk.label, "the answer to `create`")
        where = job.status.url
        url = answers.text_at(where, page, walk.label, "the answer to `create`") if where is not None else None
        note = replace(note, id=number, place=url)
        self.kept.add(note)
        wait = retry_after(page.headers, self.now())
        return note, job.every.total_seconds() if wait is None else wait

    def _found(self, control: Client, walk: Walk, note: JobNote) -> JobNote | None:
        """The job that was asked for in vain, where the API lists it."""
        job = _job(walk)
        if job.find is None:
            return None
        page = answers.answered(control, job_request(walk, job.find), walk.label)
        where = filled(job.find.where, values_of(walk))
        since = datetime.fromisoformat(note.asked) + answers.ahead(page, self.now())
        number = answers.found(job, where, page, since, walk.label)
        if number is None:
            return None
        found = replace(note, id=number)
        self.kept.add(found)
        return found

    def _awaited(self, control: Client, walk: Walk, note: JobNote, first: float) -> Page:
        """The status of a job that is done; raises where it will not be."""
        job, asked, interval = _job(walk), datetime.fromisoformat(note.asked), _job(walk).every.total_seconds()
        shown, wait = "not looked at", first
        while True:
            took = self.now() - asked
            if wait:
                left = max(0.0, (job.within - took).total_seconds())
                control.pause(
                    min(wait, left), f"job {note.id} is {shown}, {spoken(took.total_seconds())} after it was created"
                )
            page = self._looked(control, walk, note)
            told = (
                answers.state(job, page, walk.label) if page is not None else answers.State("running", "not there yet")
            )
            took = self.now() - asked
            if told.means == "done" and page is not None:
                return page
            if told.means == "expired":
                raise self._gone(walk, note, f"its state is {told.shown}")
            if told.means == "failed" and page is not None:
                self.kept.add(replace(note, over="failed", status=answers.unsigned(page.envelope)))
                raise RequestFailed(
                    f"{walk.label}: job {note.id} failed: its state is {told.shown}{answers.why(job, page)}, "
                    f"{spoken(took.total_seconds())} after it was created. Another run has another one made"
                )
            if took >= job.within:  # after a look: it is never given up unseen
                raise _too_long(walk, note, told.shown, took)
            named = retry_after(page.headers, self.now()) if page is not None else None
            wait, shown = interval if named is None else max(named, 0.05), told.shown
            interval = max(min(interval * _GROWTH, job.longest.total_seconds()), job.every.total_seconds())

    def _looked(self, control: Client, walk: Walk, note: JobNote) -> Page | None:
        """The status of a job; None where one that was made a moment ago is not there yet."""
        job, asking = _job(walk), replace(walk, job={"id": note.id or ""})
        request = job_request(asking, job.status)
        if note.place is not None:
            request = replace(request, url=next_url(f"{job_base(walk)}/", note.place))
        try:
            page = answers.answered(control, request, walk.label)
        except RequestFailed as error:
            if error.status not in job.gone:
                raise
            if note.part not in self._before and self.now() - datetime.fromisoformat(note.asked) < _LEARNT_WITHIN:
                return None
            raise self._gone(walk, note, str(error)) from error
        answers.refuse_errors(job, page, walk.label, "its status")
        return page

    def _gone(self, walk: Walk, note: JobNote, told: str) -> RequestFailed:
        """The failure that a job is no longer known: one that a walk went on with is created again."""
        self.kept.add(replace(note, over="gone"))
        created = clock(datetime.fromisoformat(note.asked))
        named = f"{walk.label}: job {note.id}, created {created}, is gone at the API: {told}"
        return (
            CursorExpired(named)
            if note.part in self._before
            else RequestFailed(f"{named}. Another run has another one made")
        )

    def _url(self, client: Client, walk: Walk, file: File, *, again: bool = False) -> str:
        """Where a file is; the job is asked for it where this process does not know it, or `again`."""
        with self._lock:
            if again or file.job not in self._files:
                self._files[file.job] = self._listed(client, replace(walk, part=None), self._note_of(file.job))
            return self._files[file.job][file.place]

    def _listed(self, client: Client, owner: Walk, note: JobNote) -> tuple[str, ...]:
        """Where the files of a job are by now, in the order of its first status that named them."""
        job, base = _job(owner), job_base(owner)
        with self._controlled(client, owner) as control:
            page = self._awaited(control, owner, note, 0.0)
        before = answers.files(job, replace(page, envelope=note.status), base, owner.label) or ()
        found = answers.files(job, page, base, owner.label) or ()
        files = in_order(before, note.marks, found)
        if files is None:
            raise self._gone(owner, note, f"it names other files than before, {len(before)} then and {len(found)} now")
        return files

    @staticmethod
    def _file_request(client: Client, walk: Walk, url: str) -> SignedRequest:
        own = origin_of(url) == client.origin
        return SignedRequest(url, headers=headers_of(walk) if own else ())

    def _note(self, walk: Walk) -> JobNote:
        return self._note_of(_key(walk))

    def _note_of(self, key: str) -> JobNote:
        note = self.kept.get(key)
        if note is None:
            raise StorageFailed(f"{self.walk.label}: the note of its job is missing: run again with a new fetch")
        return note


def _job(walk: Walk) -> Job:
    job = walk.endpoint.job
    if job is None:
        raise ValueError(f"{walk.label} has no job")
    return job


def _key(walk: Walk) -> str:
    return "" if walk.part is None else walk.part.key


def _is_over(note: JobNote) -> bool:
    """Whether nothing will come of it."""
    return note.over in ("failed", "cancelled", "gone")


def _too_long(walk: Walk, note: JobNote, shown: str, took: timedelta) -> IngestError:
    """The failure of a job that takes longer than it may; where it cannot be cancelled, the next run looks again."""
    job = _job(walk)
    told = (
        f"{walk.label}: job {note.id} is still {shown} {spoken(took.total_seconds())} after it was created, and "
        f"`within` allows {spoken(job.within.total_seconds())}"
    )
    if job.cancel is not None:
        return RequestFailed(f"{told}. It is cancelled: raise `within`, or ask for less by shorter partitions")
    return TransientFailure(
        f"{told}. It goes on at the API, and the next run looks at it again: raise `within` to wait"
    )
