"""What a declared column asks beyond its type: bounds, defaults, and which number an amount of money is."""

from decimal import Context, Decimal
from functools import partial
from typing import Any

from msgspec import Struct

from ingest_assets.column import Column, in_utc, limit, written
from ingest_assets.normalize.values import SCALED, Fit, Unfit, json_text, scaled

_WIDE = Context(prec=60)  # so that moving a point rounds no digit away


class Bounds(Struct, frozen=True):
    """The least and the greatest value of a column, as the column holds them; None where there is none."""

    least: Any = None
    greatest: Any = None

    @property
    def none(self) -> bool:
        """Whether everything is within."""
        return self.least is None and self.greatest is None

    def hold(self, value: Any) -> bool:
        """Whether a value that is not null is within.

        >>> Bounds(least=0).hold(Decimal("-0.1")), Bounds().hold(1)
        (False, True)
        """
        return not (
            (self.least is not None and value < self.least) or (self.greatest is not None and value > self.greatest)
        )


def bounds_of(column: Column, time_zone: str) -> Bounds:
    """What `min` and `max` of a declared column say, as values of the column."""
    return Bounds(
        *(
            None if told is None else _as_held(column.type, limit(column.type, told, time_zone))
            for told in (column.min, column.max)
        )
    )


def default_of(column: Column, time_zone: str) -> Any:
    """What a declared column holds where a record has no value: its default, or None."""
    if column.default is None:
        return None
    return _as_held(column.type, in_utc(written("", column.type, column.default), column.type, time_zone))


def _as_held(kind: str, value: Any) -> Any:
    if isinstance(value, Decimal) and kind in ("bigint", "double"):
        return int(value) if kind == "bigint" else float(value)
    if kind == "json":
        return json_text(Decimal(repr(value)) if isinstance(value, float) else value)
    return scaled(value, *_precision(kind)) if isinstance(value, Decimal) and SCALED.fullmatch(kind) else value


def _precision(kind: str) -> tuple[int, int]:
    found = SCALED.fullmatch(kind)
    return (int(found[1]), int(found[2])) if found else (38, 0)


def amount_fit(column: Column) -> Fit:
    """The function from a value that is not null to the number that an amount of money is sent as.

    >>> from ingest_assets.column import Money
    >>> amount_fit(Column(type="decimal(9,3)", money=Money(currency="EUR")))("1999")
    Decimal('1999')
    """
    minor = column.money is not None and column.money.unit == "minor"
    precision, scale = (38, 0) if minor else _precision(column.type)
    return partial(scaled, precision=precision, scale=scale)


def in_currency(column: Column, amount: Decimal, code: str | None) -> Decimal:
    """An amount as it was sent, as the number of its currency that a money column holds.

    Raises Unfit without a currency, or with one that is not known, and OverflowError where digits would go.

    >>> from ingest_assets.column import Money
    >>> money = Column(type="decimal(9,3)", money=Money(currency_from="currency"))
    >>> [str(in_currency(money, Decimal(1999), code)) for code in ("EUR", "jpy", "KWD")]
    ['19.990', '1999.000', '1.999']
    """
    money = column.money
    if money is None:
        return amount
    digits = money.digits(code) if code else None
    if digits is None:
        raise Unfit("no currency of ISO 4217" if code else "no currency", value=code)
    moved = amount.scaleb(-digits, _WIDE) if money.unit == "minor" else amount
    return scaled(moved, *_precision(column.type))
