"""Children of parents by windows that are cut in pieces, or where the API caps a query: each parent by itself."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ingest_assets.line import Pace
from ingest_assets_tests.whole import Api, Asked, Reply, Whole

DAY = datetime(2026, 1, 2, tzinfo=UTC)
SAME = {"records": "data", "primary_key": "id"}
GROUPS = SAME | {"path": "/groups"}
THINGS = SAME | {
    "path": "/groups/{groups.id}/things",
    "paginator": {"type": "cursor", "path": "next", "param": "cursor"},
    "partitions": {"every": "day", "start": "2026-01-01"},
    "changes": "immutable",
    "columns": {"of": {"type": "varchar", "from_parent": "id"}},
}
WINDOWS = {
    "pieces": {"from": "from", "until": "until", "pieces": 4},
    "cap": {"from": "from", "until": "until", "cap": 5},
    "both": {"from": "from", "until": "until", "pieces": 2, "cap": 5},
}


class Groups:
    """Three groups with a thing an hour, of which two a page and `cap` a query are told; some requests are refused."""

    def __init__(self, cap: int) -> None:
        self.cap, self.refused, self.asked = cap, dict[str, int](), list[tuple[str, str]]()
        self.counts = dict[str, int]()

    def __call__(self, asked: Asked) -> Any:
        if asked.path == "/groups":
            return {"data": [{"id": name} for name in ("a", "b", "c")]}
        group = asked.path.split("/")[2]
        lower, upper = (datetime.fromisoformat(asked.query[name]) for name in ("from", "until"))
        inside = [n for n in range(24) if lower <= DAY + timedelta(hours=n) < upper]
        if asked.path.endswith("/count"):
            return {"count": len(inside) + self.counts.get(group, 0)}
        self.asked.append((group, f"{lower:%H}"))
        if group in self.refused and lower.hour >= 6:
            return Reply({}, self.refused[group])
        first, reach = int(asked.query.get("cursor", 0)), inside[: self.cap]
        data = [{"id": f"{group}{n}", "at": n} for n in reach[first : first + 2]]
        return {"data": data, "next": str(first + 2) if first + 2 < len(reach) else None}


@pytest.fixture
def lived(api: Api, tmp_path: Path) -> Callable[..., tuple[Whole, Groups]]:
    """Makes the line of things by such a window, its groups loaded, and what the API is."""

    def made(name: str, window: dict[str, Any] | None = None, **more: Any) -> tuple[Whole, Groups]:
        api.answer = groups = Groups(1000 if name == "pieces" else 5)
        things = THINGS | {"window": window or WINDOWS[name]} | more
        told = {"endpoints": {"groups": GROUPS, "things": things}}
        here = Whole(tmp_path / "here", api.url, {}, told, Pace(retry_seconds=0.0, read_timeout_seconds=5.0))
        line = here.line()
        line.fetch("groups", None)
        line.load("groups", None)
        return here, groups

    return made


def run(here: Whole) -> str:
    return here.run(f"{DAY:%Y-%m-%d}")


def of(*groups: str) -> list[tuple[str]]:
    return sorted((f"{group}{n}",) for group in groups for n in range(24))


def ids(here: Whole) -> list[tuple[Any, ...]]:
    return here.ask("SELECT id FROM w.shop.things WHERE id LIKE \"of\" || '%' ORDER BY 1")


@pytest.mark.parametrize("at_once", [1, 4])
@pytest.mark.parametrize("window", WINDOWS)
def test_each_parents_window_is_cut_by_itself(lived: Any, window: str, at_once: int) -> None:
    here, _ = lived(window, at_once=at_once)

    told = run(here)

    assert (told, ids(here)) == ("", of("a", "b", "c"))
    assert here.verdicts() == ["complete", "complete"]


@pytest.mark.parametrize("at_once", [1, 4])
@pytest.mark.parametrize("status", [403, 500])
@pytest.mark.parametrize("window", WINDOWS)
def test_a_piece_that_fails_is_a_matter_of_its_parent_and_the_next_run_asks_for_that_alone(
    lived: Any, window: str, status: int, at_once: int
) -> None:
    here, groups = lived(window, at_once=at_once)
    groups.refused = {"b": status}
    told = run(here)
    left = ids(here)
    groups.refused, groups.asked = {}, []

    again = run(here)

    assert (told, again) == ("", "")
    assert set(left) >= {*of("a", "c")}
    assert {group for group, _ in groups.asked} == {"b"}
    assert ids(here) == of("a", "b", "c")
    assert here.verdicts() == ["complete", "incomplete", "complete"]


@pytest.mark.parametrize("window", WINDOWS)
def test_a_partition_that_is_replaced_goes_on_with_the_pieces_that_failed(lived: Any, window: str) -> None:
    here, groups = lived(window, write="replace_partition")
    groups.refused = {"b": 403}
    told = run(here)
    before, groups.refused, groups.asked = ids(here), {}, []

    again = run(here)

    assert "for parents failed" in told
    assert before == []
    assert again == ""
    assert {group for group, _ in groups.asked} == {"b"}
    assert ids(here) == of("a", "b", "c")


def test_a_parent_whose_pieces_all_fail_in_a_row_is_not_taken_for_an_api_that_is_down(lived: Any) -> None:
    here, groups = lived("pieces", window=WINDOWS["pieces"] | {"pieces": 24})
    groups.refused = {"b": 500}

    told = run(here)

    assert told == ""
    assert here.verdicts() == ["complete", "incomplete"]
    assert ("c23",) in ids(here)


COUNT = {"path": "/groups/{groups.id}/count", "value": "count"}


@pytest.mark.parametrize("at_once", [1, 4])
@pytest.mark.parametrize("window", WINDOWS)
def test_each_parent_is_counted_by_itself_and_one_that_misses_some_is_named(
    lived: Any, window: str, at_once: int
) -> None:
    here, groups = lived(window, count=COUNT, at_once=at_once)
    groups.counts = {"b": 1}
    told = run(here)
    reason = here.ask("SELECT reason FROM w._ingest.fetches WHERE endpoint = 'things'")[0][0]
    groups.counts = {}

    again = run(here)

    assert (told, again) == ("", "")
    assert "the API says" in reason
    assert "part b " in reason
    assert "part a " not in reason
    assert here.verdicts() == ["complete", "incomplete", "complete"]


def test_a_count_can_name_no_parent_but_that_of_its_endpoint(lived: Any) -> None:
    with pytest.raises(ValueError, match=r"names \{shops.id\}, and the endpoint's own request names \{groups.id\}"):
        lived("pieces", count=COUNT | {"path": "/shops/{shops.id}/count"})
