"""Statuses that are no page: refusals, limits, failures that pass, and what is still being made."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from types import MappingProxyType

from ingest_assets.chaos.asked import Asked
from ingest_assets.chaos.echo import refusal
from ingest_assets.chaos.faults.fault import Fault, Struck
from ingest_assets.chaos.server import Answer
from ingest_assets.source import Endpoint

_REFUSALS = (400, 401, 402, 403, 404, 405, 409, 410, 422, 451)
_PASSING = (408, 429, 500, 502, 503, 504)
_FOR_GOOD = (429, 500, 503)
_WAIT_SECONDS = 1.0
_ALMOST = 0.9
_NOT_AN_END = "where the API has another sign of the end, name it: here this status is one"


def _answered(
    status: int, times: int | None = 1, headers: Mapping[str, str] = MappingProxyType({})
) -> Callable[[Answer, Struck, Asked], Answer]:
    """The status, so many times; with None each time."""

    def answer(answer: Answer, struck: Struck, asked: Asked) -> Answer:
        if not struck.aimed or (times is not None and struck.times > times):
            return answer
        if status == HTTPStatus.NOT_MODIFIED:
            return Answer(b"", status, headers)
        return refusal(status, asked, struck.error_message, headers)

    return answer


def _is_no_end(status: int) -> Callable[[Endpoint], bool]:
    """Whether the file does not say that this status is an end, or that there are no children."""

    def seen(endpoint: Endpoint) -> bool:
        by_paging = getattr(endpoint.paginator, "until", None) == status
        return not by_paging and status not in endpoint.parents.gone and not endpoint.responses

    return seen


def _is_of_the_api(endpoint: Endpoint, _: int) -> bool:
    """Whether pages come from the API itself: for another origin a trial's naps are not as long as waits are."""
    return endpoint.job is None or endpoint.job.files is None


def _waited(asked: Sequence[Asked]) -> str:
    """That a request came before the API wanted one, if so."""
    gaps = [after.at - before.at for before, after in itertools.pairwise(asked)]
    return "" if any(gap >= _ALMOST * _WAIT_SECONDS for gap in gaps) else "it asked again before Retry-After was over"


def _no_content(answer: Answer, struck: Struck, _: Asked) -> Answer:
    return replace(answer, body=b"", status=HTTPStatus.NO_CONTENT) if struck.aimed and struck.times == 1 else answer


STATUSES = (
    *(
        Fault(
            f"status_{status}",
            "status",
            f"a page is answered with {status}",
            seen=_is_no_end(status),
            advice=_NOT_AN_END,
            answer=_answered(status),
        )
        for status in (*_REFUSALS, 304)
    ),
    *(
        Fault(
            f"status_{status}_once",
            "status",
            f"a page is answered with {status}, and then as it should be",
            harmless=True,
            answer=_answered(status),
        )
        for status in (202, *_PASSING)
    ),
    Fault(
        "retry_after",
        "status",
        "a page is answered with 429, and Retry-After: 1",
        harmless=True,
        answer=_answered(429, headers={"Retry-After": f"{_WAIT_SECONDS:.0f}"}),
        check=_waited,
        fits=_is_of_the_api,
    ),
    *(
        Fault(
            f"status_{status}_for_good",
            "status",
            f"a page is answered with {status}, again and again",
            answer=_answered(status, None),
        )
        for status in _FOR_GOOD
    ),
    Fault(
        "status_204",
        "status",
        "a page is answered with 204, without content",
        answer=_no_content,
        seen=lambda endpoint: endpoint.records.absent != "empty" and endpoint.decoder.type != "jsonl",
        advice="name where the API counts its records: `total:` or `count:`",
    ),
)
