"""What columns a pydantic model of the records promises, and which of its fields no column can be of."""

import re
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from ipaddress import IPv4Address
from typing import Annotated, Any, Literal, NewType
from uuid import UUID

import pytest
from pydantic import (
    AfterValidator,
    AliasChoices,
    AliasPath,
    AwareDatetime,
    BaseModel,
    Field,
    HttpUrl,
    PastDate,
    RootModel,
    SecretBytes,
    SecretStr,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    create_model,
    field_validator,
    model_validator,
)
from typing_extensions import TypeAliasType

from ingest_assets.column import Column
from ingest_assets.source.model_columns import declared_by, left_out

OPEN_OR_NULL = Literal["open", "paid", None]  # noqa: PYI061 -- people write it so
ID = UUID("12345678-1234-5678-1234-567812345678")


class State(Enum):
    OPEN = "open"
    PAID = "paid"


class Unsure(Enum):
    OPEN = "open"
    PAID = "paid"
    UNKNOWN = None


class Grade(IntEnum):
    LOW = 1
    HIGH = 2


class City(BaseModel):
    name: str = "?"


class Tags(RootModel[list[str]]):
    pass


class Shelf(BaseModel):
    place: "City"
    lines: "Lines"
    boxes: list["Box"] = []


class Lines(RootModel[list["Box"]]):
    pass


class Box(BaseModel):
    id: int


class Astray(BaseModel):
    box: "Nowhere | None" = None  # type: ignore[name-defined]  # noqa: F821 -- that is what is tried


class Parcel(BaseModel):
    grams: int = Field(multiple_of=5)
    seals: list[Annotated[str, AfterValidator(str.strip)]] = Field(min_length=1)
    label: Annotated[str, StringConstraints(strip_whitespace=True, max_length=9)] = ""
    inner: "list[Parcel]" = []

    @field_validator("grams")
    @classmethod
    def heavy_enough(cls, value: int) -> int:
        return max(value, 1)

    @model_validator(mode="after")
    def sealed(self) -> "Parcel":
        return self


class Code(RootModel[Annotated[str, Field(pattern="^[A-Z]")]]):
    pass


def model(kind: Any, default: Any = ...) -> type[BaseModel]:
    """A model of one field, `v`."""
    return create_model("Order", v=(kind, default))


def column(kind: Any, default: Any = ...) -> dict[str, Any]:
    """What the model declares of that field, which is a column that a file may declare."""
    columns, _ = declared_by(model(kind, default))
    Column(**columns["v"])
    return columns["v"]


def is_valid(checked: TypeAdapter[Any], text: str) -> bool:
    """Whether pydantic takes a text."""
    try:
        checked.validate_python(text)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize(
    ("told", "kind"),
    [
        ({}, "decimal(38,9)"),
        ({"decimal_places": 0}, "decimal(38,0)"),
        ({"max_digits": 12, "decimal_places": 0}, "decimal(12,0)"),
        ({"max_digits": 5}, "decimal(14,9)"),
        ({"max_digits": 33}, "decimal(38,5)"),
    ],
)
def test_a_decimal_has_the_digits_that_the_model_allows(told, kind):
    assert column(Annotated[Decimal, Field(**told)])["type"] == kind


@pytest.mark.parametrize(
    ("kind", "default", "told"),
    [
        (State, State.OPEN, "open"),
        (Decimal, Decimal("0.5"), "0.5"),
        (date, date(2020, 1, 1), "2020-01-01"),
        (datetime, datetime(2020, 1, 1, 12), "2020-01-01T12:00:00"),  # noqa: DTZ001 -- of the endpoint's zone
        (time, time(12), "12:00:00"),
        (UUID, ID, str(ID)),
        (Code, Code("NL"), "NL"),
        (bool, False, False),
    ],
)
def test_a_default_is_the_value_that_a_file_would_write(kind, default, told):
    assert column(kind, default)["default"] == told


@pytest.mark.parametrize(("kind", "default"), [(dict[str, int], {}), (set[str], {"a"}), (int | None, None)])
def test_what_is_empty_or_no_single_value_is_no_default(kind, default):
    assert "default" not in column(kind, default)


@pytest.mark.parametrize("inner", [(City | None, None), (City, City())])
def test_a_default_inside_of_a_model_that_may_be_absent_is_none(inner):
    columns, _ = declared_by(create_model("Order", city=inner))

    assert "default" not in columns["city__name"]


def test_a_default_inside_of_a_model_that_is_always_there_is_one():
    columns, _ = declared_by(create_model("Order", city=(City, ...)))

    assert columns["city__name"]["default"] == "?"


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (AwareDatetime, "timestamptz"),
        (PastDate, "date"),
        (HttpUrl, "varchar"),
        (IPv4Address, "varchar"),
        (bytes, "varchar"),
        (Grade, "bigint"),
        (Literal[1, 2], "bigint"),
        (NewType("Id", int), "bigint"),
        (TypeAliasType("Id", Annotated[UUID, Field(title="id")]), "uuid"),
        (timedelta, "json"),
        (dict[str, int], "json"),
        (Callable, "json"),
    ],
)
def test_a_type_of_its_own_has_the_columns_type_of_what_is_sent(kind, told):
    assert column(kind)["type"] == told


@pytest.mark.parametrize("kind", [SecretStr, SecretBytes | None, list[SecretStr]])
def test_a_secret_is_a_sensitive_text(kind):
    columns, lists = declared_by(model(kind))

    (told,) = (columns or lists["v"]).values()
    assert (told["type"], told["sensitive"]) == ("varchar", True)


@pytest.mark.parametrize("kind", [Any, object, OPEN_OR_NULL, Unsure, int | Any, Annotated[Any, Field(title="x")]])
def test_what_may_be_null_is_not_required(kind):
    assert "required" not in column(kind)


def test_nothing_is_required_of_elements_that_may_be_null():
    for kind, columns in ((Box | None, {"id": {"type": "bigint"}}), (int | None, {"value": {"type": "bigint"}})):
        _, lists = declared_by(model(list[kind]))

        assert lists == {"v": columns}


def test_an_element_that_may_not_be_null_is_required():
    _, lists = declared_by(model(list[int]))

    assert lists == {"v": {"value": {"type": "bigint", "required": True}}}


@pytest.mark.parametrize("kind", [OPEN_OR_NULL, Unsure])
def test_null_is_none_of_the_values(kind):
    assert column(kind) == {"type": "varchar", "values": ["open", "paid"]}


def test_a_pattern_keeps_its_flags():
    pattern = column(Annotated[str, Field(pattern="(?i)^[a-z]{2}$")])["pattern"]

    assert pattern == r"(?s:.*)(?i:^[a-z]{2}\Z)(?s:.*)"


@pytest.mark.parametrize(
    "kind",
    [
        Annotated[str, Field(pattern="^[ab]+$")],
        Annotated[str, Field(pattern=r"b$|^\$[$]\z")],
        Annotated[str, Field(pattern="(?m)^a$")],
        Annotated[str, Field(pattern=re.compile("^a[b]$", re.IGNORECASE))],
        Annotated[str, Field(pattern=re.compile("(?s)^a.$"))],
        Annotated[str, Field(min_length=2)],
        Annotated[str, Field(max_length=2)],
        Annotated[str, Field(min_length=1, max_length=2, pattern="b")],
        Annotated[Annotated[str, Field(pattern="a")], Field(pattern="b|c")],
        SecretStr,
        Annotated[SecretStr, Field(min_length=2)],
    ],
)
def test_a_column_takes_the_texts_that_the_model_takes(kind):
    texts = ["", "a", "b", "ab", "AB", "abc", "a\n", "ab\n", "a\nb", "$$", "$$\n", "é\n", "ééé"]
    checked = TypeAdapter(kind)
    pattern = re.compile(column(kind).get("pattern", "(?s:.*)"))

    taken = [text for text in texts if pattern.fullmatch(text)]

    assert taken == [text for text in texts if is_valid(checked, text)]


def test_a_root_model_is_what_it_holds():
    tags, code = declared_by(model(Tags)), declared_by(model(Code))

    assert tags == ({}, {"v": {"value": {"type": "varchar", "required": True}}})
    assert code == declared_by(model(Annotated[str, Field(pattern="^[A-Z]")]))


def test_one_choice_of_an_alias_is_the_alias():
    field = Field(validation_alias=AliasChoices(AliasPath("meta", "at")))

    assert column(Annotated[datetime, field])["path"] == "meta.at"


@pytest.mark.parametrize(
    ("kind", "default", "said"),
    [
        (Annotated[str, Field(validation_alias=AliasChoices("a", "b"))], ..., "a column has one path, and these are"),
        (Annotated[str, Field(alias="a.b")], ..., "'a.b' has a dot, and in a path that leads into an object"),
        (Annotated[str, Field(validation_alias=AliasPath("a", 0))], ..., "an element of a list is no column"),
        (bytes, b"x", "default b'x' is no value of a column"),
    ],
)
def test_what_no_column_can_be_is_told_with_the_models_field(kind, default, said):
    with pytest.raises(ValueError, match=said) as refused:
        declared_by(model(kind, default))

    assert str(refused.value).startswith("Order.v: ")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (
            {"city": (City, ...), "city__name": (str, ...)},
            "Order.city__name: another field is column 'city__name', too",
        ),
        (
            {"a": (list[int], Field(alias="l")), "b": (list[City], Field(alias="l"))},
            "Order.b: another field is the list at 'l', too",
        ),
    ],
)
def test_two_fields_are_not_one_column_or_table(fields, said):
    with pytest.raises(ValueError, match=said):
        declared_by(create_model("Order", **fields))


def test_types_may_be_those_that_their_module_defines_later():
    columns, lists = declared_by(Shelf)

    assert columns == {"place__name": {"type": "varchar", "default": "?", "path": "place.name"}}
    assert lists == {path: {"id": {"type": "bigint", "required": True}} for path in ("lines", "boxes")}


def test_a_type_that_is_nowhere_is_told_of():
    with pytest.raises(ValueError, match="Astray: its fields name 'Nowhere'"):
        declared_by(Astray)


def test_a_model_of_no_object_is_told_of():
    with pytest.raises(ValueError, match="Tags: a record is an object"):
        declared_by(Tags)


def test_what_a_model_asks_and_no_column_can_is_told_once_whatever_holds_the_model():
    assert [*left_out(create_model("Order", parcel=(Parcel | None, None)))] == [
        "Parcel.grams: multiple_of",
        "Parcel.seals: min_length",
        "Parcel.seals: its validator strip",
        "Parcel.label: max_length",
        "Parcel: its validator heavy_enough",
        "Parcel: its validator sealed",
    ]


@pytest.mark.parametrize(
    "kind", [Annotated[str, Field(min_length=2, pattern="^a")], Annotated[int, Field(ge=1)], list[City], dict[str, int]]
)
def test_nothing_is_told_of_what_columns_ask_for(kind):
    assert [*left_out(model(kind))] == []
