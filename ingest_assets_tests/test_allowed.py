"""How much an API allows, the whole way: what file and answers say is kept, and every row is there."""

import io
import itertools
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from ingest_assets.commands.check import check
from ingest_assets.commands.output import Output
from ingest_assets_tests.whole import Api, Asked, Reply, Whole

PAGES = {"paginator": {"type": "page", "total_pages": "pages"}}


def page_of(asked: Asked, pages: int) -> dict[str, Any]:
    return {"data": [{"id": int(asked.query.get("page", "1"))}], "pages": pages}


class Allowing:
    """Grants so many in each window of the clock, tells what is left, and refuses the rest."""

    def __init__(self, most: int, seconds: float, pages: int) -> None:
        self.most, self.seconds, self.pages = most, seconds, pages
        self.counts: dict[int, int] = {}
        self.refused = 0

    def __call__(self, asked: Asked) -> Reply:
        now = time.time()
        window = int(now / self.seconds)
        self.counts[window] = self.counts.get(window, 0) + 1
        left = self.most - self.counts[window]
        told = {"x-ratelimit-limit": self.most, "x-ratelimit-remaining": max(0, left)}
        told["x-ratelimit-reset-after"] = round((window + 1) * self.seconds - now, 3)
        headers = {name: str(value) for name, value in told.items()}
        if left < 0:
            self.refused += 1
            return Reply({}, 429, {**headers, "retry-after": "2"})
        return Reply(page_of(asked, self.pages), headers=headers)


@pytest.mark.parametrize("learn", [True, False])
def test_an_api_that_says_what_is_left_never_has_to_refuse(api: Api, tmp_path: Path, *, learn: bool) -> None:
    api.answer = allowing = Allowing(most=12, seconds=1.5, pages=30)
    here = Whole(tmp_path / "here", api.url, PAGES, {"learn": learn})

    told = here.run()

    assert told == ""
    assert here.values() == [*range(1, 31)]
    assert (allowing.refused == 0) is learn


def test_a_graphql_api_that_counts_by_cost_never_has_to_refuse(api: Api, tmp_path: Path) -> None:
    """A bucket of 100 points that gains 100 a second, and queries that need 40 and then count 30."""
    bucket, refused = {"points": 100.0, "at": time.monotonic()}, []

    def answer(asked: Asked) -> dict[str, Any]:
        now = time.monotonic()
        bucket["points"] = min(100.0, bucket["points"] + 100 * (now - bucket["at"]))
        bucket["at"] = now
        if bucket["points"] < 40:
            refused.append(asked)
        else:
            bucket["points"] -= 30
        status = {"maximumAvailable": 100.0, "currentlyAvailable": bucket["points"], "restoreRate": 100.0}
        cost = {"requestedQueryCost": 40, "actualQueryCost": 30, "throttleStatus": status}
        return {**page_of(asked, 12), "extensions": {"cost": cost}}

    api.answer = answer
    here = Whole(tmp_path / "here", api.url, PAGES)

    told = here.run()

    assert told == ""
    assert refused == []
    assert len(here.values()) == 12


def test_endpoints_of_a_bucket_share_it_and_others_do_not_wait(api: Api, tmp_path: Path) -> None:
    endpoint = {"records": "data", "primary_key": "id"}
    endpoints = {
        "orders": {"path": "/orders", "bucket": "read", **endpoint},
        "users": {"path": "/users", "bucket": "read", **endpoint},
        "items": {"path": "/items", **endpoint},
    }
    source = {"buckets": {"read": {"requests": 1, "per": timedelta(seconds=1)}}, "endpoints": endpoints}
    line = Whole(tmp_path / "here", api.url, {}, source).line()

    for name in ("orders", "items", "users"):
        line.peek(name, None)

    at = {asked.path: asked.at for asked in api.asked}
    assert at["/items"] - at["/orders"] < 1 < at["/users"] - at["/orders"]


def test_a_request_counts_the_cost_that_its_answer_told(api: Api, tmp_path: Path) -> None:
    """By the guess all five would go at once: of 30 points each, one a window may."""
    api.answer = lambda asked: page_of(asked, 5) | {"cost": 30}
    limits = {"rate_limit": {"points": 50, "per": timedelta(seconds=0.4)}, "cost": {"guess": 10, "told": "cost"}}
    here = Whole(tmp_path / "here", api.url, {**PAGES, **limits})

    told = here.run()

    times = [asked.at for asked in api.asked]
    assert told == ""
    assert all(later - earlier > 0.4 for earlier, later in itertools.pairwise(times))


def test_a_check_does_not_sit_out_a_long_wait(api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INGEST_DATA", str(tmp_path / "data"))
    api.answer = lambda asked: page_of(asked, 1)
    source = (
        Whole(tmp_path, api.url, {**PAGES, "rate_limit": {"requests": 1, "per": timedelta(seconds=200)}}).line().source
    )
    printed = io.StringIO()
    people = Console(file=printed, width=200)

    first, second = (check(source, Output(people, people)) for _ in range(2))

    assert (first, second) == (True, False)
    assert "limit of 1 requests in 200 s: waits until" in printed.getvalue()
    assert "longer than the 30 s allowed" in printed.getvalue()
