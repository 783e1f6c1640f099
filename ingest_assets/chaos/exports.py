"""The API's side of jobs: one is made where it is asked for, works for a while, and says where its results are.

It knows requests by what the source file says of `create`, `status`, `cancel` and `find`. Time passes by looks: each
takes LOOK, so that what never ends is given up at once. Files are at another origin, behind signed URLs.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

from ingest_assets.chaos.asked import Asked, path_read_by, read_by
from ingest_assets.chaos.faults.fault import Fault, Means, Step
from ingest_assets.chaos.made import put
from ingest_assets.chaos.server import Answer
from ingest_assets.extract.request import filled
from ingest_assets.http.place import Place
from ingest_assets.source import Endpoint, Source
from ingest_assets.source.job import Find, Job, JobRequest

LOOK = timedelta(seconds=4)
_ID = "gid://jobs/{}"  # what has to be escaped in a path
_FILE = re.compile(r"/~files/(\d+)/(\d+)")
_WHERE = "/~jobs/{number}"
_UNKNOWN = "SUSPENDED"

What = Literal["create", "status", "cancel", "find"]


@dataclass
class Export:
    """One job: what the request for it said, when that came, how often it was looked at, and whether it is done."""

    number: int
    values: Mapping[str, str]
    created: datetime
    key: str | None = None
    looks: int = 0
    done: bool = False

    @property
    def id(self) -> str:
        """How requests name it."""
        return _ID.format(self.number)

    def told(self, job: Job) -> dict[str, str]:
        """What stands for it in requests for its results."""
        return {"job.id": self.id, **{f"job.{name}": f"{name}/{self.number}" for name in job.told}}


@dataclass
class Exports:
    """All jobs of one endpoint. `parts` is of how many files the results of such a job are, or why there are none.

    `url` is where the API is, `storage` the origin of its files; `begun` is when the trial began.
    """

    source: Source
    endpoint: Endpoint
    job: Job
    url: str
    storage: str
    begun: datetime
    parts: Callable[[Mapping[str, str]], int | str]
    made: list[Export] = field(default_factory=list)
    times: Counter[What] = field(default_factory=Counter)

    @property
    def passed(self) -> timedelta:
        """The time that went by."""
        return LOOK * sum(one.looks for one in self.made)

    def answer(self, asked: Asked, fault: Fault) -> Answer | str | None:
        """What a request about a job is answered with; what is wrong with it; None where it is about none."""
        read = ((what, self._read(what, asked)) for what in get_args(What))
        what, values = next(((what, values) for what, values in read if values is not None), (None, {}))
        if what is None:
            return None
        self.times[what] += 1
        answer = self._answered(what, values, asked, fault)
        step = Step(what, self.times[what], self.endpoint, self.source.error_message)
        return answer if isinstance(answer, str) else fault.about(answer, step, asked)

    def of(self, values: Mapping[str, str]) -> Export | str:
        """The job whose results are asked for; what is wrong, where there is none or it is not done."""
        told = {name: text for name, text in values.items() if name.startswith("job.")}
        for one in self.made:
            if told and told.items() <= one.told(self.job).items():
                return one if one.done else f"job {one.id} is not done, and its results are asked for"
        return f"there is no such job: {told}"

    def file(self, asked: Asked) -> tuple[Export, int] | None:
        """Of which job a file is, and its place among them; None where it is no file, or its URL is not signed."""
        found = _FILE.fullmatch(asked.path)
        if found is None or int(found[1]) > len(self.made) or "signature" not in dict(asked.query):
            return None
        return self.made[int(found[1]) - 1], int(found[2])

    def _read(self, what: What, asked: Asked) -> dict[str, str] | None:
        """What stands for the placeholders in a request; None where it is another one."""
        request: JobRequest | None = getattr(self.job, what)
        if request is None or asked.method != request.method:
            return None
        base = urlsplit(self.job.base_url or self.endpoint.base_url or self.source.base_url).path.rstrip("/")
        by_url = what == "status" and self.job.status.url is not None
        path = _WHERE if by_url else f"{base}/{request.path.lstrip('/')}"
        body = asked.told if isinstance(asked.told, Mapping) else {}
        given = {**body, **dict(asked.query)}
        headers = {name: asked.headers.get(name.lower()) for name in request.headers}
        read = [path_read_by(path, asked.path), read_by(request.params, given), read_by(request.headers, headers)]
        read.append(read_by(request.body or {}, body))
        if any(one is None for one in read):
            return None
        return {name: text for one in read if one is not None for name, text in one.items()} | (
            self._bounds(given) if what == "create" else {}
        )

    def _bounds(self, given: Mapping[str, Any]) -> dict[str, str]:
        window: Any = self.endpoint.window or self.endpoint.feed
        names = {"from": getattr(window, "from_", None), "until": getattr(window, "until", None)}
        return {word: str(given[name]) for word, name in names.items() if name and name in given}

    def _answered(self, what: What, values: Mapping[str, str], asked: Asked, fault: Fault) -> Answer | str:
        if what == "create":
            return self._created(values, asked)
        if what == "find" and self.job.find is not None:
            return self._found(self.job.find)
        number = values.get("number")
        export = next((one for one in self.made if values.get("job.id") == one.id or number == str(one.number)), None)
        if export is None:
            return f"there is no such job: {dict(values)}"
        return self._status(export, fault) if what == "status" else _answer([])

    def _created(self, values: Mapping[str, str], asked: Asked) -> Answer | str:
        header = self.job.create.idempotency
        key = asked.headers.get(header.lower()) if header is not None else None
        if header is not None and not key:
            return f"header {header!r} is missing"
        if isinstance(why := self.parts(values), str):
            return why
        export = next((one for one in self.made if key is not None and one.key == key), None)
        if export is None:
            export = Export(len(self.made) + 1, values, self.begun + self.passed, key)
            self.made.append(export)
        told: list[tuple[Place, Any]] = [(self.job.id, export.id)]
        if self.job.status.url is not None:
            told.append((self.job.status.url, self.url + _WHERE.format(number=export.number)))
        return _answer(told)

    def _found(self, find: Find) -> Answer:
        """The list of jobs, at the path that the file names; without one it is the body."""
        listed = list[Any]()
        for one in self.made:
            told: Any = put(put({}, find.id, one.id), find.created, one.created.isoformat())
            for path, text in filled(find.where, one.values).items():
                told = put(told, path, text)
            listed.append(told)
        return _answer([(Place(path=find.jobs), listed)]) if find.jobs else Answer(json.dumps(listed).encode())

    def _status(self, export: Export, fault: Fault) -> Answer:
        export.looks += 1
        means: Means = fault.state("done" if export.done or export.looks > 1 else "running", self.endpoint)
        export.done = means == "done"
        told = list[tuple[Place, Any]]()
        if self.job.state is not None:
            told.append((self.job.state, self._word(means)))
        if means == "failed" and self.job.message is not None:
            told.append((Place(path=self.job.message), "it asks for too much"))
        if export.done:
            told += [(Place(path=path), export.told(self.job)[f"job.{name}"]) for name, path in self.job.told.items()]
            told += self._files(export)
        return _answer(told, 202 if self.job.state is None and means == "running" else 200)

    def _word(self, means: Means) -> Any:
        words: Mapping[Means, tuple[Any, ...]] = {
            "done": self.job.done,
            "failed": self.job.failed,
            "running": self.job.running,
            "expired": self.job.expired,
        }
        return next(iter(words.get(means, ())), _UNKNOWN)

    def _files(self, export: Export) -> list[tuple[Place, Any]]:
        """The URL of each file, signed anew at each look."""
        count = self.parts(export.values)
        if self.job.files is None or isinstance(count, str):
            return []
        place = Place(path=self.job.files.path)
        signed = f"signature=s1gned+{export.looks}"
        return [(place, f"{self.storage}/~files/{export.number}/{number}?{signed}") for number in range(count)]


def _answer(told: list[tuple[Place, Any]], status: int = 200) -> Answer:
    """An answer of JSON that holds values at places."""
    body: Any = {}
    headers = {"Content-Type": "application/json"}
    for place, given in told:
        if place.header is not None:
            headers[place.header] = str(given)
        else:
            body = put(body, place.path or "", given)
    return Answer(json.dumps(body).encode(), status, headers)
