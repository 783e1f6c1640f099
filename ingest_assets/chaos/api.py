"""An API on loopback that answers one endpoint as its source file says it does, and refuses what the file does not say.

    request ─► known path? ─► parameters as the file says? ─► let in? ─► which chain, which page ─► fault ─► answer

It holds the API's side of the contract: what is asked of it that the file does not say is a complaint, which fails the
trial, whatever came of it.
"""

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from ingest_assets.chaos.asked import Asked, path_read_by, read_by
from ingest_assets.chaos.bodies import written
from ingest_assets.chaos.case import Case, parents
from ingest_assets.chaos.desk import Desk, NoSuchPage, Pages, Served
from ingest_assets.chaos.exports import Exports
from ingest_assets.chaos.faults.fault import Fault, NoFault, Struck, parted
from ingest_assets.chaos.made import Record, put
from ingest_assets.chaos.server import Answer
from ingest_assets.http.paginators.links import Link, NextUrl
from ingest_assets.source import Count, Window

Gate = Callable[[Asked], Answer | None]
"""Who is let in: None, or the refusal."""


@dataclass
class Chain:
    """What is asked for as one: the records that were made for it, those that the API has, and these in pages."""

    desk: Desk
    made: list[Record]
    records: list[Record]
    pages: Pages


@dataclass
class Api:
    """Answers for one case, with one fault; `gate` says who is let in, `expire` changes that, `elsewhere` is another
    origin, and so is `storage`, where the files of jobs are.

    `asked` are all requests so far, `complaints` what they held that the file does not say.
    """

    case: Case
    gate: Gate = lambda _: None
    expire: Gate = lambda _: None
    elsewhere: str = ""
    storage: str = ""
    fault: Fault = field(default_factory=NoFault)
    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._chains: dict[tuple[tuple[str, str], ...], Chain] = {}
        self._times = Counter[tuple[int, int]]()
        self._lock = threading.Lock()
        self._exports = self._jobs()

    def begin(self, fault: Fault) -> None:
        """Forget what was, and answer with this fault from now on."""
        with self._lock:
            self.fault = fault
            self._exports = self._jobs()
            self._chains.clear()
            self._times.clear()
            self.asked.clear()
            self.complaints.clear()

    def mend(self) -> None:
        """Answer without a fault; what was told stays true."""
        with self._lock:
            self.fault = NoFault()
            for chain in self._chains.values():
                chain.records, chain.pages = chain.made, self._parted(chain.made)

    def __call__(self, asked: Asked) -> Answer:
        """What is answered; one request at a time."""
        with self._lock:
            self.asked.append(asked)
            refused = self.gate(asked)
            return refused if refused is not None else self._answer(asked)

    def stored(self, asked: Asked) -> Answer:
        """What a request for the file of a job is answered with, which carries no credential."""
        with self._lock:
            self.asked.append(asked)
            file = self._exports.file(asked) if self._exports is not None else None
            chain = self._chain_of(file[0].values) if file is not None else "no such file"
            if file is None or isinstance(chain, str):
                return Answer(b"{}", HTTPStatus.NOT_FOUND)
            return self._page(chain, file[1], asked)

    @property
    def passed(self) -> timedelta:
        """The time that went by while jobs were looked at."""
        return self._exports.passed if self._exports is not None else timedelta(0)

    def _jobs(self) -> Exports | None:
        """The jobs of an endpoint whose records are made by them, none so far."""
        case, job = self.case, self.case.endpoint.job
        if job is None:
            return None
        return Exports(case.source, case.endpoint, job, self.url, self.storage, case.now, self._parts)

    def _parts(self, values: Mapping[str, str]) -> int | str:
        chain = self._chain_of(values)
        return chain if isinstance(chain, str) else len(chain.pages)

    @property
    def expected(self) -> list[Record]:
        """All records that were asked for, by the chains that were begun."""
        return [record for chain in self._chains.values() for record in chain.records]

    def chains(self) -> list[Chain]:
        """Those that were asked for, in their order."""
        return [*self._chains.values()]

    def _answer(self, asked: Asked) -> Answer:
        endpoint = self.case.endpoint
        if endpoint.count is not None and (answer := self._count(endpoint.count, asked)) is not None:
            return answer
        about = self._exports.answer(asked, self.fault) if self._exports is not None else None
        if about is not None:
            return about if isinstance(about, Answer) else self._complain(about, HTTPStatus.BAD_REQUEST)
        values = self._segments(asked)
        if values is None or (endpoint.job is not None and endpoint.job.files is not None):
            return self._complain(f"no such path: {asked.method} {asked.path}", HTTPStatus.NOT_FOUND)
        chain = self._chain(asked, values)
        if isinstance(chain, str):
            return self._complain(chain, HTTPStatus.BAD_REQUEST)
        request = asked.request(values)
        try:
            page = chain.desk.at(request, chain.pages)
        except NoSuchPage as none:
            return Answer(b"{}", none.status)
        if page == 0 and (wrong := self._wrong(asked)):
            return self._complain(wrong, HTTPStatus.BAD_REQUEST)
        return self._page(chain, page, asked)

    def _page(self, chain: Chain, page: int, asked: Asked) -> Answer:
        key = (chain.desk.number, page)
        self._times[key] += 1
        struck = Struck(
            page,
            self._times[key],
            len(chain.pages),
            chain.desk.number,
            self.case.endpoint,
            self.elsewhere,
            self.case.source.error_message,
            self.expire,
        )
        records = chain.pages[page] if page < len(chain.pages) else []
        size = max(map(len, chain.pages)) or self.case.size
        following = page + 1 if page + 1 < len(chain.pages) else None
        served = self.fault.serve(Served(records, page, following, len(chain.records), size), struck)
        if (
            not served.records
            and page >= len(chain.pages)
            and getattr(self.case.endpoint.paginator, "until", None) == HTTPStatus.NOT_FOUND
        ):
            return Answer(b"{}", HTTPStatus.NOT_FOUND)
        beside, headers = chain.desk.told(served, asked, self.url)
        body, kind = written(self.case.endpoint, [one.data for one in served.records], beside)
        return self.fault.answer(Answer(body, headers={"Content-Type": kind, **headers}), struck, asked)

    def _complain(self, told: str, status: int) -> Answer:
        self.complaints.append(told)
        return Answer(b"{}", status)

    def _segments(self, asked: Asked) -> dict[str, str] | None:
        """What stands for the names in the endpoint's path; None where it is another path."""
        endpoint = self.case.endpoint
        if asked.method != endpoint.method:
            return None
        base = urlsplit(endpoint.base_url or self.case.source.base_url).path.rstrip("/")
        path = endpoint.path.lstrip("/")
        found = path_read_by(f"{base}/{path}" if path else base or "/", asked.path)
        next_path = getattr(endpoint.paginator, "next_path", None)
        return {} if found is None and next_path is not None and asked.path == next_path else found

    def _chain(self, asked: Asked, segments: Mapping[str, str]) -> Chain | str:
        """The chain that a request is of; why there is none, where the file does not say such a request."""
        request = asked.request(segments)
        known = next((chain for chain in self._chains.values() if chain.desk.knows(request)), None)
        if known is not None:
            return known
        values = {**segments, **self._read(asked)}
        if self._exports is None:
            return self._chain_of(values)
        export = self._exports.of(values)
        return export if isinstance(export, str) else self._chain_of(export.values)

    def _chain_of(self, values: Mapping[str, str]) -> Chain | str:
        """The chain of what stands for the placeholders of requests."""
        key = tuple(
            sorted((name, text) for name, text in values.items() if name not in self.case.endpoint.paginator.segments)
        )
        if key not in self._chains:
            made = self._begun(values, len(self._chains))
            if isinstance(made, str):
                return made
            self._chains[key] = made
        return self._chains[key]

    def _read(self, asked: Asked) -> dict[str, str]:
        """What stands for the placeholders of parameters, headers and body, and in the parameters of the bounds."""
        endpoint, given = self.case.endpoint, dict(asked.query)
        body = asked.told if isinstance(asked.told, Mapping) else {}
        values: dict[str, str] = {}
        for name, template in endpoint.params.items():
            values |= read_by(template, given.get(name, body.get(name))) or {}
        values |= (
            read_by(dict(endpoint.headers), {key: asked.headers.get(key.lower()) for key in endpoint.headers}) or {}
        )
        values |= read_by(endpoint.body, body) or {} if endpoint.body else {}
        window: Any = endpoint.window or endpoint.feed
        for word, param in (("from", getattr(window, "from_", None)), ("until", getattr(window, "until", None))):
            bound = given.get(param, body.get(param)) if param else None
            values |= {word: str(bound)} if bound is not None else {}
        return values

    def _begun(self, values: Mapping[str, str], number: int) -> Chain | str:
        endpoint = self.case.endpoint
        parent, wrong = self._parent(values)
        if wrong:
            return wrong
        try:
            records = [
                *_within(
                    self.case.records(number if parent else 0, parent), endpoint.window, values, endpoint.time_zone
                )
            ]
        except ValueError:
            return "a bound is not written as the file says"
        return Chain(Desk(endpoint, number), records, *self.fault.lay(records, self._parted(records), self.case.size))

    def _parted(self, records: list[Record]) -> Pages:
        job = self.case.endpoint.job
        several = job is not None and job.files is not None and "[]" in job.files.path
        single = self.case.endpoint.paginator.type == "none" and not several
        return [records] if single else parted(records, self.case.size)

    def _parent(self, values: Mapping[str, str]) -> tuple[Mapping[str, str] | None, str]:
        """The parent whose children are asked for, and what is wrong where there is no such one."""
        endpoint = self.case.endpoint
        if endpoint.parent is None or endpoint.parents.batch > 1:
            return None, ""
        told = {field: values.get(f"{endpoint.parent}.{field}") for field in endpoint.parent_key}
        for one in parents(self.case.source, self.case.name):
            if all(one[field] == text for field, text in told.items()):
                return one, ""
        return None, f"no such parent: {told}"

    def _wrong(self, asked: Asked) -> str:
        """What a first request lacks of what the file says."""
        endpoint, given = self.case.endpoint, dict(asked.query)
        body = asked.told if isinstance(asked.told, Mapping) else {}
        if isinstance(endpoint.paginator, Link | NextUrl) and self._times:
            return ""
        for name, template in endpoint.params.items():
            if read_by(template, given.get(name, body.get(name))) is None:
                return f"parameter {name!r} is not as the file says"
        for name, text in (self.case.source.headers | endpoint.headers).items():
            if read_by(text, asked.headers.get(name.lower())) is None:
                return f"header {name!r} is not as the file says"
        if endpoint.parents.batch == 1 and endpoint.body and read_by(endpoint.body, body) is None:
            return "the body is not as the file says"
        return ""

    def _count(self, count: Count, asked: Asked) -> Answer | None:
        """The answer to the request that counts; None where it is another one."""
        base = urlsplit(self.case.endpoint.base_url or self.case.source.base_url).path.rstrip("/")
        found = path_read_by(f"{base}/{count.path.lstrip('/')}", asked.path)
        if found is None or (count.path == self.case.endpoint.path and count.method == self.case.endpoint.method):
            return None
        chain = self._chain(asked, found)
        number = len(chain.records) if isinstance(chain, Chain) else 0
        if count.value is None:
            return Answer(str(number).encode())
        if count.value.header is not None:
            return Answer(b"{}", headers={count.value.header: str(number)})
        body = put({}, count.value.path or "", number)
        body = put(body, count.value.relation, "eq") if count.value.relation else body
        return Answer(json.dumps(body).encode(), headers={"Content-Type": "application/json"})


def _within(records: list[Record], window: Window | None, values: Mapping[str, str], zone: str) -> Iterator[Record]:
    """The records that the bounds of a request let through."""
    if window is None:
        yield from records
        return
    lower, upper = (values.get(word) for word in ("from", "until"))
    after = None if lower is None else _moment(lower, window.format, zone)
    before = None if upper is None else _moment(upper, window.format, zone)
    if before is not None and window.inclusive and window.format == "date":
        before += timedelta(days=1) - timedelta(microseconds=1)
    for record in records:
        early = after is not None and record.moment < after
        late = before is not None and (record.moment > before if window.inclusive else record.moment >= before)
        if not (early or late):
            yield record


def _moment(text: str, form: str, zone: str) -> datetime:
    match form:
        case "unix" | "unix_ms":
            return datetime.fromtimestamp(int(text) / (1000 if form == "unix_ms" else 1), UTC)
        case "iso" | "date":
            found = datetime.fromisoformat(text)
        case _:
            found = datetime.strptime(text, form)  # noqa: DTZ007 -- its zone is added below
    return found if found.tzinfo else found.replace(tzinfo=ZoneInfo(zone))
