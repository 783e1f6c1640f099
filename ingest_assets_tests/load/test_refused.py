"""A load that fails for what came names the place and no value of a column that the file calls sensitive."""

import pytest

from ingest_assets.errors import ContractBroken

SECRET = "ann@example.com"
MAIL = {"type": "varchar", "sensitive": True}
AT = {"type": "varchar", "sensitive": True, "path": "who.mail"}
OF_WHO = [{"id": 1, "who": {"mail": SECRET, "n": 1}}]
# What the file says, what is loaded, and what comes then.
REFUSED = {
    "a value that does not fit": (
        {"columns": {"mail": MAIL | {"type": "date", "unfit": "freeze"}}},
        [],
        {"mail": SECRET},
    ),
    "one of no known text": ({"columns": {"mail": MAIL | {"values": ["x"], "unfit": "freeze"}}}, [], {"mail": SECRET}),
    "one that breaks a pattern": (
        {"columns": {"mail": MAIL | {"pattern": "x", "unfit": "freeze"}}},
        [],
        {"mail": SECRET},
    ),
    "a text where an object was": ({"columns": {"m": AT}, "contract": "freeze"}, OF_WHO, {"who": SECRET}),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_load_that_is_refused_quotes_nothing_sensitive(lab, name):
    told, before, record = REFUSED[name]
    things = lab(**told)
    if before:
        things.store(1, None, before)
        things.load()
    things.store(2, None, [{"id": 2, **record}])

    with pytest.raises(ContractBroken) as refused:
        things.load()

    assert SECRET not in str(refused.value)


def test_a_sweep_that_is_refused_names_a_key_of_what_is_not_sensitive_alone(lab):
    things = lab(sweep=True, primary_key=["mail", "id"], columns={"id": {"type": "bigint"}, "mail": MAIL})
    things.store(1, None, [{"id": n, "mail": SECRET} for n in range(10)])
    things.load()
    things.store(2, None, [{"id": 9, "mail": SECRET}])

    with pytest.raises(ContractBroken, match=r"such as id=0: more than 20% are not deleted") as refused:
        things.load()

    assert SECRET not in str(refused.value)
