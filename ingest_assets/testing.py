"""Tests for a connector, for nothing: one a fault, in your own test suite.

    # test_shop.py
    from ingest_assets.testing import connector

    test_shop = connector("connectors/shop.yaml")

Each fault that can happen to an endpoint is a test of its own (`pytest -k "orders and empty_page"`), which fails where
a promise is broken, with what happened and what to do. `assert_kept` is one of them, without pytest.
"""

from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

from ingest_assets import catalog
from ingest_assets.chaos.faults import FAULTS
from ingest_assets.chaos.recorded import findings
from ingest_assets.chaos.stand_in import made_up
from ingest_assets.chaos.trial import Tried
from ingest_assets.chaos.trials import Chosen, trials
from ingest_assets.source import Source

_SEVERAL = 3
_RECORDED = "recorded"


def connector(
    file: str | Path,
    *,
    endpoints: Collection[str] = (),
    only: Collection[str] = (),
    seed: int = 0,
    unseen: bool = True,
    data: str | Path | None = None,
) -> Callable[..., None]:
    """A test function for a source file, parametrized by endpoint and fault; assign it to a name that begins with test.

    `only` are names of faults or groups. With `unseen=False` a fault fails, too, that nothing in the file could show.
    With `data`, a data folder, stored responses are compared with the file. ConfigError where the file is wrong.
    """
    import pytest

    source = load(file)
    cases = [
        pytest.param(*one, id="-".join(one)) for one in _cases(source, Chosen(endpoints, only, seed), data is not None)
    ]

    @pytest.mark.parametrize(("endpoint", "fault"), cases)
    def test(endpoint: str, fault: str) -> None:
        if fault == _RECORDED:
            assert_recorded(source, endpoint, Path(data or ""))
            return
        tried = assert_kept(source, endpoint, fault, seed=seed, unseen=unseen)
        if tried is None:
            pytest.skip("it cannot happen to this endpoint")

    return test


def assert_kept(source: Source, endpoint: str, fault: str, *, seed: int = 0, unseen: bool = True) -> Tried | None:
    """What came of a fault; None where it cannot happen to the endpoint. AssertionError where a promise is broken."""
    found = [*trials(source, Chosen([endpoint], [fault], seed))]
    for tried in found:
        broken = not tried.good or (tried.verdict == "unseen" and not unseen)
        if broken:
            raise AssertionError(f"{tried.endpoint}: {tried.fault} ({tried.says}): {tried.happened}\n→ {tried.todo}")
    return found[0] if found else None


def assert_recorded(source: Source, endpoint: str, data: Path) -> None:
    """AssertionError where stored responses of an endpoint contradict the file."""
    _, found = findings(catalog.settled(source, made_up(source)), endpoint, data)
    if found:
        raise AssertionError("\n".join(f"{one.endpoint}: {one.field}: {one.found}\n→ {one.todo}" for one in found))


def load(file: str | Path) -> Source:
    """The source of a file; `like:` is looked for beside it, and among the usual ones."""
    return catalog.load(Path(file), [Path(file).parent, *catalog.folders()])


def _cases(source: Source, chosen: Chosen, recorded: bool) -> Iterator[tuple[Any, ...]]:
    """Endpoint and fault of each test."""
    for name in chosen.endpoints or source.endpoints:
        endpoint = source.endpoints[name]
        pages = 1 if endpoint.paginator.type == "none" else _SEVERAL
        wanted = {one.name for one in chosen.faults()}
        yield from ((name, one.name) for one in FAULTS if one.name in wanted and one.fits(endpoint, pages))
        if recorded:
            yield name, _RECORDED
