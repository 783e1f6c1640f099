"""What is declared of one column: its type, where its value comes from, and what is asked of it.

Values that do not fit quarantine their record; a rule here only ever says which do.
"""

import math
import re
import uuid
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from decimal import Context, Decimal, InvalidOperation
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    model_validator,
)

from ingest_assets.currencies import DECIMALS
from ingest_assets.modes import Unfitting

_ALIASES = {
    "bool": "boolean",
    "text": "varchar",
    "string": "varchar",
    "int": "bigint",
    "integer": "bigint",
    "float": "double",
    "timestamp with time zone": "timestamptz",
}
_PLAIN = (
    "boolean",
    "bigint",
    "hugeint",
    "double",
    "varchar",
    "json",
    "timestamptz",
    "timestamp",
    "date",
    "time",
    "uuid",
)
_DECIMAL = re.compile(r"decimal\((\d{1,2}),\s*(\d{1,2})\)")
_FORMATS = ("iso", "date", "unix", "unix_ms")
_YEAR = re.compile("%[YyGcxDF]")
_WIDE = Context(prec=60)  # holds each digit of any number of 38
_ANY_MOMENT = datetime(2026, 1, 31, 23, 59, 58, 123456, UTC)
TIME_TYPES = ("timestamptz", "timestamp", "date", "time")


def column_type(text: str) -> str:
    """A declared type in its one spelling: DuckDB's name in small letters.

    >>> column_type("TEXT"), column_type("decimal(18, 2)")
    ('varchar', 'decimal(18,2)')
    """
    name = _ALIASES.get(text.strip().lower(), text.strip().lower())
    if name in _PLAIN:
        return name
    if found := _DECIMAL.fullmatch(name):
        precision, scale = int(found[1]), int(found[2])
        if 1 <= precision <= 38 and scale <= precision:
            return f"decimal({precision},{scale})"
        raise ValueError(f"{text!r}: a decimal has 1 to 38 digits, and no more decimals than digits")
    if name.startswith("decimal(") and ")" not in name:
        raise ValueError(f'{text!r} is cut at its comma: in braces write it in quotes, such as "decimal(12,2)"')
    raise ValueError(f"{text!r} is not a type; one of {', '.join(_PLAIN)}, decimal(p,s)")


def column_format(text: str) -> str:
    """How a column's times are written, or a ValueError where nobody could read times written so.

    >>> column_format("%d.%m.%Y %H:%M")
    '%d.%m.%Y %H:%M'
    """
    if text in _FORMATS:
        return text
    if "%" not in text:
        raise ValueError(f"expected {', '.join(_FORMATS)} or a strptime pattern such as %d.%m.%Y")
    try:
        read = _read_again(text)
    except (ValueError, re.error):
        raise ValueError("is no strptime pattern; expected such as %d.%m.%Y, or %Y-%m-%dT%H:%M:%S%z") from None
    if "%Z" in text.replace("%%", ""):
        raise ValueError("%Z is the name of a zone, and names are ambiguous: expected %z, which is an offset")
    if read.hour == _ANY_MOMENT.hour - 12:
        raise ValueError("%I is an hour of 12, before noon or after it: expected %p, too, or %H, an hour of 24")
    if read.strftime(text) != _ANY_MOMENT.strftime(text):
        raise ValueError(
            "strptime passes over a part of it: a week (%W, %U) is read with %Y and a weekday (%w) only, "
            "a weekday with a day, and %p with %I"
        )
    return text


def _read_again(pattern: str) -> datetime:
    """What a pattern reads of the text that it makes of a moment, in the year of that where it has none."""
    told = pattern if _tells_year(pattern) else f"{pattern} %Y"  # Python is about to refuse a day without a year
    return datetime.strptime(_ANY_MOMENT.strftime(told), told)  # noqa: DTZ007 -- only what it tells of it


def _tells_year(form: str) -> bool:
    return form in _FORMATS or _YEAR.search(form.replace("%%", "")) is not None


ColumnFormat = Annotated[str, AfterValidator(column_format)]
ColumnType = Annotated[str, AfterValidator(column_type)]


Scalar = StrictStr | StrictBool | StrictInt | StrictFloat
Bound = StrictStr | StrictInt | StrictFloat


def spelled(value: Any) -> tuple[str, ...]:
    """How a spelling of an enumeration is compared: by its text, so that 1 takes the number and the text.

    Of a number with a point, that is also the one text of its value. Raises ValueError for what is no spelling.

    >>> spelled(1), spelled("1"), spelled(True), spelled(1.0), spelled(1.5)
    (('1',), ('1',), ('true',), ('1.0', '1'), ('1.5',))
    """
    if not isinstance(value, str | int | float) or (isinstance(value, float) and not math.isfinite(value)):
        raise ValueError(f"a spelling: expected a text, a number, true or false, found {value!r}")
    if isinstance(value, float):
        return tuple(dict.fromkeys((repr(value), f"{Decimal(repr(value)).normalize():f}")))
    return (str(value).lower() if isinstance(value, bool) else str(value),)


def _all_spelled(told: Any) -> Any:
    listed = told if isinstance(told, list | tuple) else (told,)
    return tuple(text for one in listed for text in spelled(one))


Spellings = Annotated[
    tuple[str, ...],
    BeforeValidator(_all_spelled, json_schema_input_type=list[str | int | float | bool] | str | int | float | bool),
]


class Money(BaseModel):
    """How a number becomes an amount of money: in which currency, and in which unit it is sent."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    currency: str | None = Field(None, description="the ISO 4217 code of all amounts, such as EUR")
    currency_from: str | None = Field(None, description="the column of the same table that holds the code")
    unit: Literal["minor", "major"] = Field(
        "minor", description="minor: 1999 is 19.99 EUR, 1999 JPY and 1.999 KWD; major: the amount as it stands"
    )
    decimals: dict[str, Annotated[int, Field(ge=0, le=9)]] = Field(
        default_factory=dict,
        description="digits after the point, by code, where the API counts otherwise than ISO 4217",
    )

    @model_validator(mode="after")
    def _one_currency(self) -> "Money":
        if (self.currency is None) == (self.currency_from is None):
            raise ValueError("money has a currency: say `currency: EUR`, or the column of the code by `currency_from:`")
        if self.currency is not None and self.digits(self.currency) is None:
            raise ValueError(f"{self.currency!r} is no currency of ISO 4217, such as EUR; `decimals:` adds others")
        return self

    def digits(self, code: str) -> int | None:
        """Digits after the point of a currency, in capitals or not; None where it is none.

        >>> [Money(currency="EUR", decimals={"ugx": 2}).digits(code) for code in ("usd", "JPY", "KWD", "UGX", "XXQ")]
        [2, 0, 3, 2, None]
        """
        told = {known.upper(): digits for known, digits in self.decimals.items()} | self.decimals
        return told.get(code, told.get(code.upper(), DECIMALS.get(code.upper())))


class Column(BaseModel):
    """A declared column: a value that does not fit quarantines its record."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    type: ColumnType = Field(description="DuckDB's name of the type; 'enum' is given by `values`")
    path: str | None = Field(None, description="where in the record its value is; by default found by name")
    required: bool = Field(False, description="a record without a value here is quarantined")
    format: ColumnFormat | None = Field(
        None,
        description="how a time is written: iso (default), date, unix, unix_ms, or a strptime pattern such as %d.%m.%Y",
    )
    from_partition: str | None = Field(
        None, description="a dimension of the partitions, such as account: its value for this row, in place of a path"
    )
    from_parent: str | None = Field(
        None, description="a column of the parent's table, such as id: its value for this row, in place of a path"
    )
    values: tuple[str, ...] | dict[str, Spellings] | None = Field(
        None,
        description="the only values allowed in a varchar column; as a mapping such as {active: [ACTIVE, 1]}, "
        "the one name of all spellings of a value",
    )
    min: Bound | None = Field(None, description="the least value allowed: a number, or a time as ISO 8601 writes it")
    max: Bound | None = Field(None, description="the greatest value allowed")
    pattern: str | None = Field(None, description="a regular expression (Python's) that all of a text has to match")
    default: Scalar | None = Field(
        None, description="the value of records that have none; a time as ISO 8601 writes it"
    )
    money: Money | None = Field(None, description="an amount of money in a decimal column")
    unfit: Unfitting | None = Field(
        None,
        description="what is done about a value that does not fit; as the endpoint's `contract` says, or quarantine",
    )
    references: str | None = Field(
        None,
        pattern=r"^[a-z][a-z0-9_]*\.[a-z_][a-z0-9_]*$",
        description="a table and column of this source, such as customers.id, of which each value has to be one; a row "
        "whose value is none stays, and is told of",
    )
    sensitive: bool = Field(False, description="kept out of previews, logs and metadata")
    description: str | None = Field(None, description="shown in Dagster's column schema")

    @property
    def given(self) -> bool:
        """Whether its value is that of the fetch or of the page, and no matter of the record."""
        return self.from_partition is not None or self.from_parent is not None

    @property
    def spellings(self) -> Mapping[str, str] | None:
        """The one name of each spelling, where values are unified: each name is a spelling of itself."""
        if not isinstance(self.values, dict):
            return None
        return {text: name for name, texts in self.values.items() for text in (name, *texts)}

    @model_validator(mode="after")
    def _format_is_for_times(self) -> "Column":
        if self.format is not None and self.type not in TIME_TYPES:
            raise ValueError(f"format is always a time's format, and {self.type} is no time")
        if self.format == "date" and self.type == "time":
            raise ValueError("a time of day is in no date: leave format out, or give a strptime pattern such as %H:%M")
        if self.format is not None and not _tells_year(self.format):
            told = f"format {self.format!r} has no year, and a"
            if self.type != "time":
                raise ValueError(f"{told} {self.type} is of one: expected %Y or %y in it")
            if "%d" in self.format.replace("%%", ""):
                raise ValueError(f"{told} day (%d) is read with one only: expected %Y or %y in it, or no day")
        if sum(origin is not None for origin in (self.from_partition, self.from_parent, self.path)) > 1:
            raise ValueError("a value comes by path from the record, from the partition, or from the parent: say one")
        if self.unfit == "drop" and self.required:
            raise ValueError("a required value cannot be dropped: say unfit: quarantine or freeze")
        return self

    @model_validator(mode="after")
    def _texts_have_text_rules(self) -> "Column":
        if self.values is not None and self.type != "varchar":
            raise ValueError(f"values are for varchar columns, and this is {self.type}")
        if isinstance(self.values, dict):
            named: dict[str, str] = {}
            for name, texts in self.values.items():
                for text in dict.fromkeys((name, *texts)):
                    if named.setdefault(text, name) != name:
                        raise ValueError(f"{text!r} is a spelling of both {named[text]!r} and {name!r}")
        if self.pattern is not None and self.type != "varchar":
            raise ValueError(f"pattern is for varchar columns, and this is {self.type}")
        if self.pattern is not None:
            try:
                re.compile(self.pattern)
            except re.error as error:
                raise ValueError(f"pattern is no regular expression: {error}") from None
        return self

    @model_validator(mode="after")
    def _bounds_can_be_compared(self) -> "Column":
        for name in ("min", "max"):
            if (told := getattr(self, name)) is not None:
                if self.type in ("varchar", "json", "boolean", "uuid"):
                    raise ValueError(f"{name} is for numbers and times, and this is {self.type}")
                written(name, self.type, told)
        return self

    @model_validator(mode="after")
    def _money_is_decimal(self) -> "Column":
        if self.money is not None and not self.type.startswith("decimal"):
            raise ValueError(f'money is for decimal columns such as "decimal(18,3)", and this is {self.type}')
        if self.money is not None and self.given:
            raise ValueError("money is a matter of the record, and this is of its partition or parent")
        return self

    @model_validator(mode="after")
    def _default_fits(self) -> "Column":
        if self.default is None:
            return self
        if self.required:
            raise ValueError("a column with a default is never without a value: leave out required or default")
        if self.given or self.money is not None:
            raise ValueError("a default is for values of the record that are no money")
        value = written("default", self.type, self.default)
        if isinstance(self.values, tuple | dict) and value not in self.values:
            raise ValueError(f"default {self.default!r} is not one of the values {', '.join(self.values)}")
        if self.pattern is not None and not re.fullmatch(self.pattern, str(value)):
            raise ValueError(f"default {self.default!r} does not match the pattern")
        return self

    @model_validator(mode="after")
    def _bounds_and_default_agree(self) -> "Column":
        # In which time zone moments are is known to the endpoint alone.
        if self.type != "timestamptz" and (told := self.contradiction("UTC")) is not None:
            raise ValueError(told)
        return self

    def contradiction(self, time_zone: str) -> str | None:
        """What is wrong between min, max and default, whose times without an offset are of this zone; None if nothing.

        >>> Column(type="timestamptz", min="2026-01-01T00:00Z", max="2026-01-01").contradiction("Asia/Tokyo")
        'min 2026-01-01T00:00Z is greater than max 2026-01-01: nothing would fit'
        """
        low, high = (None if told is None else limit(self.type, told, time_zone) for told in (self.min, self.max))
        if low is not None and high is not None and low > high:
            return f"min {self.min} is greater than max {self.max}: nothing would fit"
        if self.default is None:
            return None
        try:
            value = in_utc(written("default", self.type, self.default), self.type, time_zone)
        except OverflowError:
            return f"default {self.default!r} is before year 1 or after 9999 in UTC: no row could hold it"
        if (low is not None and value < low) or (high is not None and value > high):
            return f"default {self.default!r} is outside of min and max"
        return None


def written(rule: str, kind: str, told: Any) -> Any:
    """A bound or a default as its type has it: numbers as Decimal, times as these; a ValueError that names the rule.

    >>> written("min", "date", "2026-01-31"), written("max", "bigint", 7)
    (datetime.date(2026, 1, 31), Decimal('7'))
    """
    try:
        if kind in ("varchar", "json"):
            return _of(str, told) if kind == "varchar" else _finite(told)
        if kind == "boolean":
            return _of(bool, told)
        if kind == "uuid":
            return str(uuid.UUID(_of(str, told)))
        return _moment(kind, _of(str, told)) if kind in TIME_TYPES else _number(kind, told)
    except (TypeError, ValueError, InvalidOperation):
        wanted = "a time as ISO 8601 writes it, such as 2026-01-31" if kind in TIME_TYPES else f"a value of type {kind}"
        raise ValueError(f"{rule}: expected {wanted}, found {told!r}") from None


def _moment(kind: str, text: str) -> date | time | datetime:
    if kind == "date":
        return date.fromisoformat(text)
    moment = time.fromisoformat(text) if kind == "time" else datetime.fromisoformat(text)
    if kind != "timestamptz" and moment.tzinfo is not None:
        raise ValueError(text)  # an offset that would be dropped is a loss
    return moment


def in_utc(value: Any, kind: str, time_zone: str) -> Any:
    """What `written` gives, and of a timestamptz column its instant: by its own offset, or else in this zone.

    Raises OverflowError where that is before year 1 or after 9999.
    """
    if kind != "timestamptz":
        return value
    return (value if value.tzinfo else value.replace(tzinfo=ZoneInfo(time_zone))).astimezone(UTC)


def limit(kind: str, told: Any, time_zone: str) -> Any:
    """A bound as values are compared with it: of instants, no more than the first and the last that there are.

    >>> str(limit("timestamptz", "9999-12-31T23:59", "America/New_York"))
    '9999-12-31 23:59:59.999999+00:00'
    """
    value = written("", kind, told)
    try:
        return in_utc(value, kind, time_zone)
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC) if value.year == 1 else datetime.max.replace(tzinfo=UTC)


def _finite(told: Any) -> Any:
    if isinstance(told, float) and not math.isfinite(told):
        raise ValueError(told)
    return told


def _number(kind: str, told: Any) -> Decimal:
    number = Decimal(_of((int, float, str), told) if isinstance(told, str) else repr(_of((int, float), told)))
    if not number.is_finite():
        raise ValueError(told)
    if kind == "double":
        _finite(float(number))
        return number
    found = _DECIMAL.fullmatch(kind)
    precision, scale = (int(found[1]), int(found[2])) if found else (38, 0)
    beyond = not -(2**63) <= number < 2**63 if kind == "bigint" else number.copy_abs() >= 10 ** (precision - scale)
    if beyond or _WIDE.remainder(number, Decimal(1).scaleb(-scale)):
        raise ValueError(told)
    return number


def _of(kinds: type | tuple[type, ...], value: Any) -> Any:
    if not isinstance(value, kinds) or (isinstance(value, bool) and kinds is not bool):
        raise TypeError(value)
    return value


def _column_name(name: str) -> str:
    if not name:
        raise ValueError("a column's name is empty: choose one, with path:")
    if name.startswith("_"):
        raise ValueError(f"column {name!r}: names that begin with _ are the project's own; choose another, with path:")
    return name


def _one_spelling(columns: Mapping[str, Column]) -> Mapping[str, Column]:
    spelled: dict[str, str] = {}
    for name in columns:
        other = spelled.setdefault(name.lower(), name)
        if other != name:
            raise ValueError(
                f"columns {other!r} and {name!r} differ by case only, and a table knows no case: rename one"
            )
    return columns


ColumnName = Annotated[str, AfterValidator(_column_name)]
Columns = Annotated[dict[ColumnName, Column], AfterValidator(_one_spelling)]
