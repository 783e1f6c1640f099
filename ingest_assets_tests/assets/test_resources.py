"""Api and Warehouse: in a person's own asset, and in the launchpad."""

import dagster as dg
import pytest

from ingest_assets.assets.resources import Api, Warehouse, data_folder
from ingest_assets.errors import ConfigError, StorageFailed

FIRST = "2026-01-01"


def test_a_persons_own_asset_takes_both_as_parameters(lab):
    found = {}

    @dg.asset(deps=[lab.table("people")])
    def cities(api: Api, warehouse: Warehouse) -> None:
        found["people"] = warehouse.read("shop.people")
        found["line"] = api.line(lab.source, "mine").data

    lab.more = [cities]

    lab.run(keys=[lab.raw("people"), lab.table("people"), cities.key])

    assert found["people"]["city"].tolist() == ["Delft"]
    assert found["line"] == lab.data


def test_read_gives_a_table_or_one_partition_of_it_as_a_data_frame(lab):
    lab.run(FIRST, "2026-01-02")

    every, day = lab.warehouse.read("shop.orders"), lab.warehouse.read("shop.orders", "2026-01-02")

    assert sorted(every["id"]) == [1, 2, 11, 12, 13]
    assert sorted(day["id"]) == [11, 12, 13]
    assert list(day.columns) == list(every.columns)


def test_read_gives_child_tables_too(lab):
    lab.run(FIRST, "2026-01-02")

    lines = lab.warehouse.read("shop.orders__lines", FIRST)

    assert sorted(lines["sku"]) == ["a", "a", "b", "b"]


def test_read_says_where_nothing_is_published_yet(lab):
    with pytest.raises(StorageFailed, match="there is no warehouse yet; materialize something first"):
        lab.warehouse.read("shop.orders")


def test_read_refuses_what_is_no_table(lab):
    with pytest.raises(ConfigError, match="'orders' is no table; expected such as"):
        lab.warehouse.read("orders")


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ("shop.order", "'shop.order' is not there yet: materialize it first; did you mean 'shop.orders'?"),
        ("stripe.charges", "'stripe.charges' is not there yet: materialize it first; there are none"),
    ],
)
def test_read_tells_of_a_table_that_is_not_there(lab, table, told):
    lab.run("2026-01-01")

    with pytest.raises(ConfigError) as refused:
        lab.warehouse.read(table)

    assert str(refused.value) == told


def test_the_data_folder_is_the_given_one_or_the_environments_or_data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("INGEST_DATA", raising=False)

    assert data_folder() == tmp_path / "data"
    monkeypatch.setenv("INGEST_DATA", "elsewhere")
    assert data_folder() == tmp_path / "elsewhere"
    assert data_folder("here") == tmp_path / "here"


def test_the_launchpad_can_name_another_data_folder(lab):
    other = str(lab.folder / "other")

    lab.run(FIRST, config=settings(api={"data": other}, warehouse={"data": other}))

    assert not lab.data.exists()
    assert len(Warehouse(data=other).read("shop.orders")) == 2


def test_the_launchpad_can_slow_a_run_down(lab, shop):
    lab.text = lab.text.replace("max_wait: PT0.1S", "rate_limit: {requests: 2, per: PT2S}")

    lab.run(FIRST, "2026-01-02", config=settings(api={"data": str(lab.data), "rate_limit_share": 0.5}))

    first, second = shop.times
    assert second - first >= 2
    assert lab.told(lab.raw(), "2026-01-02")["waited for the limit (s)"] > 0.1


def test_the_launchpad_can_name_another_variable_for_a_secret(lab, monkeypatch):
    monkeypatch.setenv("OTHER_TOKEN", "tok-5ecret-0f-the-shop")
    monkeypatch.setenv("SHOP_TOKEN", "no-longer-good")

    lab.run(FIRST, config=settings(api={"data": str(lab.data), "secrets": {"SHOP_TOKEN": "OTHER_TOKEN"}}))

    assert len(Warehouse(data=str(lab.data)).read("shop.orders")) == 2


def test_a_secret_in_place_of_a_variable_is_refused_and_not_repeated(lab):
    result = lab.run(
        FIRST, config=settings(api={"data": str(lab.data), "secrets": {"SHOP_TOKEN": "sk_live_1234"}}), fails=True
    )

    error = failure(result)
    assert "api: secrets: SHOP_TOKEN: expected the name of an environment variable that is set" in error
    assert "sk_live_1234" not in error


def test_the_launchpad_can_name_other_source_files(lab):
    assert lab.source
    other = lab.folder / "other"
    other.mkdir()
    (other / "shop.yaml").write_text(lab.text.replace("path: /orders", "path: /orders\n    params: {more: 1}"))

    lab.run(FIRST, config=settings(api={"data": str(lab.data), "sources": str(other)}))

    raw = lab.events(lab.raw(), FIRST)[0]
    assert (
        raw.tags["dagster/code_version"] != lab.definitions().get_assets_def(lab.raw()).code_versions_by_key[lab.raw()]
    )


def test_other_source_files_without_the_endpoint_are_refused(lab):
    other = lab.folder / "other"
    other.mkdir()
    (other / "shop.yaml").write_text(lab.text.replace("  orders:", "  sales:"))

    result = lab.run(FIRST, config=settings(api={"data": str(lab.data), "sources": str(other)}), fails=True)

    assert "api: sources: shop.yaml has no endpoint 'orders' there" in failure(result)


def test_a_missing_secret_says_what_to_export(lab, shop, monkeypatch):
    monkeypatch.delenv("SHOP_TOKEN")

    result = lab.run(FIRST, fails=True)

    assert "environment variable SHOP_TOKEN is not set; export SHOP_TOKEN=… before you start" in failure(result)
    assert shop.asked == []


def test_a_replay_needs_no_secret(lab, monkeypatch):
    lab.run(FIRST)
    monkeypatch.delenv("SHOP_TOKEN")

    lab.run(FIRST, keys=[lab.table()])

    assert len(lab.events(lab.table(), FIRST)) == 2


def settings(**resources):
    """The run config that the launchpad would send."""
    return {"resources": {name: {"config": config} for name, config in resources.items()}}


def failure(result):
    (event,) = [event for event in result.all_events if event.is_step_failure]
    return event.event_specific_data.error.to_string()
