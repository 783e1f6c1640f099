"""Two accounts of one API by `like:`, and a field more in a shipped connector: the examples of the README's section."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ingest_assets import catalog
from ingest_assets.errors import TransientFailure
from ingest_assets.line import Line
from ingest_assets.sandbox.credentials import STRIPE_EU_KEY, STRIPE_KEY

README = (Path(__file__).parent.parent / "README.md").read_text()
SECTION = README.split("## Several accounts")[1].split("\n## ")[0]
EXAMPLES = {
    Path(re.match(r"# (\S+)", text)[1]).name: text for text in re.findall(r"```yaml\n(.*?)```", SECTION, re.DOTALL)
}
DAY = "2026-11-19"
BOUNDS = {"created[gte]": 1795046400, "created[lt]": 1795132800}


@pytest.fixture
def two(here: Any) -> Any:
    """A place with the README's source files; both accounts are led to the sandbox by their base URL alone."""
    folder = here.folder / "sources"
    led = f'base_url: "{here.url}/stripe/v1"\nrate_limit: {{requests: 5000, per: PT1S}}\n'
    (folder / "stripe.yaml").write_text(EXAMPLES["stripe.yaml"] + led)
    (folder / "stripe_eu.yaml").write_text(EXAMPLES["stripe_eu.yaml"] + led)
    here.more["INGEST_ONLY"] = "stripe,stripe_eu"
    return here


@pytest.fixture
def files(tmp_path: Path) -> Callable[[], dict[str, Any]]:
    """The README's source files, as they stand there, loaded."""

    def loaded() -> dict[str, Any]:
        for name, text in EXAMPLES.items():
            (tmp_path / name).write_text(text)
        return {name: catalog.load(tmp_path / name, [tmp_path, catalog.SHIPPED]) for name in EXAMPLES}

    return loaded


def test_the_examples_load_and_override_what_they_say_alone(files: Callable[[], dict[str, Any]]) -> None:
    shipped = catalog.load(catalog.SHIPPED / "stripe.yaml", [catalog.SHIPPED])

    found = files()

    more = found["stripe.yaml"].endpoints["charges"].columns
    assert set(more) - set(shipped.endpoints["charges"].columns) == {"risk"}
    assert found["stripe.yaml"].endpoints["invoices"] == shipped.endpoints["invoices"]
    assert found["stripe_eu.yaml"].auth.token.env == "STRIPE_EU_API_KEY"
    assert found["zendesk_eu.yaml"].settings["subdomain"] == "acme-eu"
    assert found["zendesk_eu.yaml"].auth.password.env == "ZENDESK_EU_TOKEN"
    assert catalog.settled(found["zendesk_eu.yaml"], {}).base_url == "https://acme-eu.zendesk.com/api/v2"


def test_two_accounts_at_once_keep_rows_secrets_and_budgets_apart(two: Any, box: Any) -> None:
    """Also the very first runs of a data folder, both of which find no database of Dagster's."""
    box.forget_seen()

    runs = [two.start("run", f"{name}.charges", "--partition", DAY) for name in ("stripe", "stripe_eu")]
    told = [run.communicate(timeout=300) for run in runs]

    assert [run.returncode for run in runs] == [0, 0], told
    truths = {
        name: {one["id"]: one for one in box.truth(name, "charges", **BOUNDS)} for name in ("stripe", "stripe_eu")
    }
    for name, truth in truths.items():
        rows = two.ask(f"SELECT id, amount FROM {name}.charges ORDER BY id")  # noqa: S608 -- ours
        assert rows == sorted((id_, one["amount"]) for id_, one in truth.items())
    assert not truths["stripe"].keys() & truths["stripe_eu"].keys()
    risks = dict(two.ask("SELECT id, risk FROM stripe.charges"))
    assert risks == {id_: (one["outcome"] or {}).get("risk_level") for id_, one in truths["stripe"].items()}
    assert any(risks.values())
    assert {(one["credential"], one["bucket"], one["status"]) for one in box.seen()} == {
        ("stripe-key", "stripe", 200),
        ("stripe-eu-key", "stripe_eu", 200),
    }
    stored = b"".join(file.read_bytes() for file in two.folder.rglob("*") if file.is_file())
    assert not [key for key in (STRIPE_KEY, STRIPE_EU_KEY) if key.encode() in stored]


def test_the_budget_of_one_account_is_not_used_up_by_the_other(two: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each account's limit is one request an hour: both get theirs, and none a second one."""
    for name, value in two.environment.items():
        monkeypatch.setenv(name, value)
    for name in ("stripe", "stripe_eu"):
        file = two.folder / "sources" / f"{name}.yaml"
        file.write_text(re.sub(r"rate_limit: .*", "rate_limit: {requests: 1, per: PT1H}", file.read_text()))
    lines = [Line(source, two.data) for source in catalog.sources().values()]

    pages = [line.peek("events", None) for line in lines]

    assert [page.records > 0 for page in pages] == [True, True]
    for line in lines:
        with pytest.raises(TransientFailure, match="limit of 1 requests in 3600 s"):
            line.peek("events", None)
