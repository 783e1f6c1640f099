"""The shipped sources that need no key, against their twins in the sandbox: rows equal the truth, value for value."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
import requests

from ingest_assets import catalog
from ingest_assets.errors import ConfigError, RequestFailed
from ingest_assets.line import Line
from ingest_assets.sandbox import Sandbox

FILES = {
    "open_meteo": """\
like: open_meteo
base_url: "{url}/open-meteo/v1"
endpoints: {{forecast: {{base_url: "{url}/open-meteo/v1"}}}}
""",
    "github": """\
like: github
base_url: "{url}/github"
rate_limit: {{requests: 60000, per: PT1H}}
endpoints: {{issues: {{params: {{per_page: 30}}}}}}
""",
    "ecb": """\
like: ecb
base_url: "{url}/ecb"
""",
}
Lines = Callable[..., Line]


@pytest.fixture
def box() -> Iterator[Sandbox]:
    """A sandbox whose days go by; its limits are wide."""
    with Sandbox(now="2026-11-20", scale=0.2, factor=1000.0) as running:
        yield running


@pytest.fixture
def line(tmp_path: Path, box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Lines:
    """A line of a shipped source that is led to the sandbox, with what a test overrides."""
    monkeypatch.setenv("INGEST_LIMITS", str(tmp_path / "limits"))
    monkeypatch.setenv("GITHUB_REPO", "acme/lamps")

    def made(name: str, more: str = "") -> Line:
        file = tmp_path / f"{name}.yaml"
        file.write_text(FILES[name].format(url=box.url) + more)
        return Line(catalog.load(file, [tmp_path, catalog.SHIPPED]), tmp_path / "data", run="test")

    return made


def bring(line: Line, endpoint: str, partition: str | None = None) -> None:
    """Fetch and load."""
    with line.partition(endpoint, partition):
        line.fetch(endpoint, partition)
        line.load(endpoint, partition)


def rows(line: Line, query: str) -> list[tuple[Any, ...]]:
    """Rows of the reader's copy, as of now."""
    line.publish()
    with duckdb.connect(str(line.data / "warehouse.duckdb"), read_only=True) as reader:
        reader.execute("SET TimeZone = 'UTC'")
        return reader.execute(query).fetchall()


def verdict(line: Line, endpoint: str) -> str | None:
    """That of the last fetch."""
    return line.fetches(endpoint)[-1].verdict


def moment(text: str) -> datetime:
    """A time as the APIs write it, in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


WEATHER = ("time", "temperature_2m", "relative_humidity_2m", "precipitation", "wind_speed_10m", "weather_code")


@pytest.mark.parametrize("day", ["2026-11-02", "2026-11-19"])
def test_a_day_of_weather_is_24_rows_made_of_parallel_lists(line: Lines, box: Sandbox, day: str) -> None:
    weather = line("open_meteo")

    bring(weather, "hourly", day)

    truth = box.truth("open_meteo", "hourly", start_date=day, end_date=day)
    found = rows(weather, f"SELECT {', '.join(WEATHER)} FROM open_meteo.hourly ORDER BY time")  # noqa: S608 -- ours
    assert len(found) == 24
    assert found == [(moment(one["time"]), *(one[name] for name in WEATHER[1:])) for one in truth]
    assert verdict(weather, "hourly") == "complete"


def test_what_the_archive_lacks_at_first_comes_with_the_look_back(line: Lines, box: Sandbox) -> None:
    weather = line("open_meteo")
    bring(weather, "daily", "2026-11-19")
    first = rows(weather, "SELECT time, temperature_2m_max FROM open_meteo.daily")
    box.advance(6)

    bring(weather, "daily", "2026-11-19")

    truth = box.truth("open_meteo", "daily", start_date="2026-11-19", end_date="2026-11-19")
    found = rows(weather, "SELECT time::VARCHAR, temperature_2m_max, precipitation_sum FROM open_meteo.daily")
    assert first[0][1] is None
    assert found == [(one["time"], one["temperature_2m_max"], one["precipitation_sum"]) for one in truth]
    assert found[0][1] is not None


def test_the_forecast_is_replaced_as_a_whole(line: Lines, box: Sandbox) -> None:
    weather = line("open_meteo")
    bring(weather, "forecast")
    box.advance(1)

    bring(weather, "forecast")

    truth = box.truth("open_meteo", "forecast")
    found = rows(weather, "SELECT time, temperature_2m FROM open_meteo.forecast ORDER BY time")
    assert found == [(moment(one["time"]), one["temperature_2m"]) for one in truth]
    assert len(found) == 7 * 24


def test_another_place_is_another_account_that_the_warehouse_refuses(
    line: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring(line("open_meteo"), "hourly", "2026-11-02")
    monkeypatch.setenv("OPEN_METEO_LATITUDE", "48.86")

    with pytest.raises(ConfigError, match="holds rows of"):
        bring(line("open_meteo"), "hourly", "2026-11-03")


def test_what_the_weather_api_refuses_is_told_in_its_words(line: Lines) -> None:
    weather = line("open_meteo", 'settings: {latitude: "91"}\n')

    with pytest.raises(RequestFailed, match="HTTP 400 Bad Request: 'Latitude must be in range of -90 to 90°"):
        weather.peek("hourly", "2026-11-02")


ISSUE = ("id", "number", "state", "title", "body", "comments", "user__login", "created_at", "updated_at", "closed_at")
SELECT = f"SELECT {', '.join(ISSUE)} FROM github.issues ORDER BY number"  # noqa: S608 -- ours


def told(issue: dict[str, Any]) -> tuple[Any, ...]:
    """An issue of the truth as a row."""
    user = (issue["user"] or {}).get("login")
    times = [issue[name] and datetime.fromisoformat(issue[name]) for name in ISSUE[7:]]
    return (*(issue[name] for name in ISSUE[:6]), user, *times)


def test_all_issues_come_over_linked_pages_with_their_labels(line: Lines, box: Sandbox) -> None:
    github = line("github")

    bring(github, "issues")

    truth = box.truth("github", "issues")
    assert len(truth) > 100
    assert rows(github, SELECT) == [told(issue) for issue in truth]
    labels = rows(github, "SELECT count(*), count(DISTINCT name) FROM github.issues__labels")[0]
    assert labels[0] == sum(len(issue["labels"]) for issue in truth)
    assert len(box.seen()) == -(-len(truth) // 30)
    assert verdict(github, "issues") == "complete"


def test_the_next_fetch_asks_for_what_changed_since_and_holds_every_change(line: Lines, box: Sandbox) -> None:
    github = line("github")
    bring(github, "issues")
    box.forget_seen()
    box.advance(9)

    bring(github, "issues")

    assert rows(github, SELECT) == [told(issue) for issue in box.truth("github", "issues")]
    asked = {one["query"].get("since") for one in box.seen()}
    assert len(asked) == 1
    assert moment(asked.pop().removesuffix("Z")) > datetime(2026, 11, 10, tzinfo=UTC)


def test_a_feed_with_nothing_new_is_complete(line: Lines, box: Sandbox) -> None:
    github = line("github")
    bring(github, "issues")
    before = rows(github, SELECT)

    bring(github, "issues")

    assert verdict(github, "issues") == "complete"
    assert rows(github, SELECT) == before


def test_a_repository_that_was_renamed_is_followed(line: Lines, box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_REPO", "acme/lights")
    github = line("github")

    bring(github, "issues")

    assert len(rows(github, SELECT)) == len(box.truth("github", "issues"))


def test_an_allowance_that_is_used_up_is_waited_for(line: Lines, box: Sandbox) -> None:
    box.fault("429_storm", path="/github")
    github = line("github")

    bring(github, "issues")

    assert rows(github, SELECT) == [told(issue) for issue in box.truth("github", "issues")]
    assert [one["status"] for one in box.seen()][:2] == [403, 200]


def test_the_twins_refuse_what_the_apis_refuse(box: Sandbox) -> None:
    def ask(path: str, **params: Any) -> requests.Response:
        return requests.get(f"{box.url}/{path}", params=params, timeout=20)

    place = {"latitude": 1, "longitude": 2}
    weather = "open-meteo/v1/archive"
    assert ask("github/repos/acme/nothing/issues").status_code == 404
    assert ask("github/repos/acme/lamps/issues", state="some").status_code == 422
    assert ask("github/repos/acme/lamps/issues", since="1970-01-01T00:00:00Z", state="all").json() == []
    assert len(ask("github/repos/acme/lamps/issues", state="all", per_page=500).json()) == 100
    assert (
        ask(weather, **place, start_date="2026-11-01", end_date="2026-11-02", hourly="rain_of_frogs").status_code == 400
    )
    assert (
        "Timezone"
        in ask(weather, **place, start_date="2026-11-01", end_date="2026-11-01", daily="temperature_2m_max").text
    )
    assert (
        ask(weather, **place, start_date="2026-11-01", end_date="2026-12-01", hourly="precipitation").status_code == 400
    )
    assert ask(weather, start_date="2026-11-01", end_date="2026-11-01").json()["error"] is True


def rates_of(told: Iterator[dict[str, str]]) -> list[tuple[date, str, Decimal]]:
    """The truth as rows, in order."""
    return sorted((date.fromisoformat(r["rate_date"]), r["currency"], Decimal(r["rate"])) for r in told)


@pytest.mark.parametrize("endpoint", ["rates", "history"])
def test_reference_rates_are_rows_of_a_day_and_a_currency(line: Lines, box: Sandbox, endpoint: str) -> None:
    bank = line("ecb")

    bring(bank, endpoint)

    found = rows(bank, f"SELECT rate_date, currency, rate FROM ecb.{endpoint} ORDER BY ALL")  # noqa: S608 -- ours
    assert found == rates_of(box.truth("ecb", endpoint))
    assert {row[0].weekday() for row in found} == {0, 1, 2, 3, 4}
    assert verdict(bank, endpoint) == "complete"


def test_rates_that_have_left_the_last_90_days_stay_in_the_table(line: Lines, box: Sandbox) -> None:
    bank = line("ecb")
    bring(bank, "rates")
    before = set(rows(bank, "SELECT rate_date, currency, rate FROM ecb.rates"))
    box.advance(30)

    bring(bank, "rates")

    after = set(rows(bank, "SELECT rate_date, currency, rate FROM ecb.rates"))
    assert after == before | set(rates_of(box.truth("ecb", "rates")))
    assert len(after) > len(before)


def test_a_page_that_is_no_file_of_rates_is_a_failure_that_says_so(line: Lines) -> None:
    bank = line("ecb", "endpoints: {rates: {path: /nothing.xml}}\n")

    with pytest.raises(RequestFailed, match="HTTP 404"):
        bring(bank, "rates")
