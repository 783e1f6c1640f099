"""What a source file may say of parents, and what is wrong with it where it does not fit."""

import pytest
from pydantic import ValidationError

from ingest_assets.assets.plan import stages
from ingest_assets.source import Source

CUSTOMERS = {"path": "/customers", "primary_key": "id"}
INVOICES = {"path": "/customers/{customers.id}/invoices", "primary_key": "id"}


def source(**endpoints):
    return Source.model_validate({"name": "shop", "base_url": "https://shop.example", "endpoints": endpoints})


def test_parents_are_loaded_before_their_children_and_these_before_theirs():
    lines = {"path": "/invoices/{invoices.id}/lines", "primary_key": "id"}
    shop = source(lines=lines, invoices=INVOICES, customers=CUSTOMERS)

    order = stages({"shop": shop}, [("shop", name) for name in shop.endpoints])

    assert order == [[("shop", "customers")], [("shop", "invoices")], [("shop", "lines")]]


@pytest.mark.parametrize(
    ("endpoints", "told"),
    [
        (
            {"customers": CUSTOMERS, "invoices": {**INVOICES, "path": "/customers/{custmers.id}/invoices"}},
            r"\{custmers.id\}: 'custmers' is not another endpoint of this source; there are customers",
        ),
        (
            {"a": {**CUSTOMERS, "path": "/a/{b.id}"}, "b": {**CUSTOMERS, "path": "/b/{a.id}"}},
            r"'b' is itself asked for by 'a': one of them comes first",
        ),
        (
            {
                "customers": CUSTOMERS,
                "shops": CUSTOMERS,
                "invoices": {**INVOICES, "path": "/{shops.id}/{customers.id}"},
            },
            r"names fields of shops and of customers, and an endpoint has one parent",
        ),
        (
            {
                "customers": CUSTOMERS,
                "invoices": {**INVOICES, "columns": {"c": {"type": "bigint", "from_parent": "id"}}},
            },
            r"a column of the parent is varchar",
        ),
        (
            {"customers": {**CUSTOMERS, "columns": {"c": {"type": "varchar", "from_parent": "id"}}}},
            r"it has no parent: its request names no field of another endpoint",
        ),
        ({"customers": {**CUSTOMERS, "parents": {"gone": [404]}}}, r"it has no parents"),
        (
            {"customers": CUSTOMERS, "invoices": {**INVOICES, "parents": {"gone": [500]}}},
            r"500 is no refusal of one parent",
        ),
        (
            {"customers": CUSTOMERS, "invoices": {**INVOICES, "parents": {"answers": "of"}}},
            r"answers is for batches",
        ),
        (
            {
                "customers": CUSTOMERS,
                "invoices": {**INVOICES, "path": "/{customers.id}/{customers.shop}", "parents": {"batch": 2}},
            },
            r"a batch is of one field, and the request names id, shop",
        ),
        (
            {
                "customers": CUSTOMERS,
                "invoices": {
                    **INVOICES,
                    "parents": {"batch": 2},
                    "columns": {"c": {"type": "varchar", "from_parent": "id"}},
                },
            },
            r"a page of a batch is of several parents",
        ),
        (
            {"customers": CUSTOMERS, "invoices": {**INVOICES, "base_url": "https://{customers.host}"}},
            r"\{customers.host\} is replaced by nothing",
        ),
        (
            {
                "customers": {
                    "path": "/{account}/customers",
                    "write": "replace_partition",
                    "partitions": {"by": {"account": ["eu"]}},
                },
                "invoices": {
                    **INVOICES,
                    "path": "/{account}/{customers.id}",
                    "write": "replace_partition",
                    "partitions": {"by": {"account": ["eu"]}},
                },
            },
            r"the parents of 'invoices' are told apart by 'account': give 'customers' a column",
        ),
    ],
)
def test_a_mistake_is_told(endpoints, told):
    with pytest.raises(ValidationError, match=told):
        source(**endpoints)
