"""One column of the rows to be: where in an element its value is, and what makes it fit."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import pyarrow as pa
from msgspec import Struct, field

from ingest_assets.column import TIME_TYPES, Column
from ingest_assets.modes import Unfitting
from ingest_assets.normalize.names import Path
from ingest_assets.normalize.registry import ColumnSpec
from ingest_assets.normalize.rules import Bounds, in_currency
from ingest_assets.normalize.shape import Shape
from ingest_assets.normalize.values import Fit, Unfit, UnfitKind, arrow_type, shown


class ColumnPlan(Struct, frozen=True):
    """A column that batches hold: where its value is, and what makes it fit.

    `known` is what was seen at a learned column's path. A column declared by name alone is `placed` once a path
    asked for its name; before, it has no values. A column that is no matter of the record takes what `given` has of
    the name `given_by`: the same in every row of a page.
    `texts`: all values arrive as texts. `default` is held where there is no value. Of money, `fit` gives the number as
    it was sent, and `currency` is the column of its code where that is not one for all. The values of one that is
    `hidden` are shown to nobody.
    """

    spec: ColumnSpec
    fit: Fit
    declared: Column | None = None
    key: bool = False
    known: Shape = field(default_factory=Shape)
    placed: bool = True
    texts: bool = False
    given_by: str | None = None
    given: Mapping[str, str] = field(default_factory=dict)
    bounds: Bounds = field(default_factory=Bounds)
    default: Any = None
    currency: "ColumnPlan | None" = None
    unfit: Unfitting = "quarantine"
    hidden: bool = False

    @property
    def required(self) -> bool:
        """Whether the contract wants a value here in every record that is no tombstone."""
        return self.declared is not None and self.declared.required

    @property
    def drops(self) -> bool:
        """Whether a value that does not fit is left out. Where one has to be, its record cannot do without."""
        return self.unfit == "drop" and not self.key and not self.required

    def is_sought(self, *, deleted: bool) -> bool:
        """Whether a record, a tombstone or not, has to have its key."""
        excused = self.given_by is not None or self.default is not None
        return not excused and self.spec.declared and (self.key or (self.required and not deleted))

    @property
    def bare(self) -> bool:
        """Whether it is the declared `value` of a list's elements: these themselves, or that key of objects."""
        return self.spec.declared and not self.spec.path

    @property
    def is_money(self) -> bool:
        """Whether its numbers are amounts of a currency."""
        return self.declared is not None and self.declared.money is not None

    @property
    def sent_type(self) -> pa.DataType:
        """The Arrow type of what `fit` gives."""
        minor = self.declared is not None and self.declared.money is not None and self.declared.money.unit == "minor"
        return arrow_type("hugeint" if minor else self.spec.type)

    def value(self, element: Any) -> Any:
        """The column's value in an element of its table, None where there is none; raises Unfit."""
        found = self.found(element)
        if found is None:
            return self.default
        try:
            fitted = self.fit(found)
            if self.is_money:
                fitted = self.amount(fitted, None if self.currency is None else self.currency.value(element))
            if self.bounds.hold(fitted):
                return fitted
        except (TypeError, ValueError, OverflowError):
            pass
        told = None if self.hidden else shown(found)
        reason = f"column {self.spec.name!r}: {kind_of(found)} that does not fit {self.spec.type}{self._wanted(found)}"
        raise Unfit(reason, self.spec.name, told, self._kind)

    @property
    def _kind(self) -> UnfitKind:
        return "broken" if self.unfit == "freeze" else "unfit"

    def held(self, element: Any) -> Any:
        """The column's value, None also in place of one that is dropped; raises Unfit."""
        try:
            return self.value(element)
        except Unfit:
            if self.drops:
                return None
            raise

    def dropped(self, element: Any) -> list[tuple[Path, Any]]:
        """The value that is dropped, with its path, where there is one."""
        try:
            if self.drops:
                self.value(element)
        except Unfit:
            bare = not self.spec.path and isinstance(element, dict)
            return [(("value",) if bare else self.spec.path, self.found(element))]
        return []

    def amount(self, sent: Decimal, code: str | None) -> Decimal:
        """The money that a number as it was sent is, in the currency of this code or of all; raises Unfit."""
        declared = self.declared
        if declared is None or declared.money is None:
            return sent
        try:
            return in_currency(declared, sent, declared.money.currency or code)
        except Unfit as error:
            reason = (
                f"column {self.spec.name!r}: an amount, and {error.reason} in column {declared.money.currency_from!r}"
            )
            hidden = self.currency is None or self.currency.hidden
            raise Unfit(reason, self.spec.name, None if hidden else error.value, self._kind) from None

    def _wanted(self, found: Any) -> str:
        """What the source file says of values that fit, beside the type."""
        declared = self.declared
        if declared is None:
            return ""
        if self.texts and found == "":
            return "; where an empty text means no value, say null_values: ['']"
        if declared.values is not None and (isinstance(found, str) or declared.spellings is not None):
            return f"; `values` are {', '.join(declared.values)}"
        said = [f", format {declared.format or 'iso'}"] if declared.type in TIME_TYPES else []
        said += [
            f"; {name} {told}" for name, told in (("min", declared.min), ("max", declared.max)) if told is not None
        ]
        said += [f"; pattern {declared.pattern}"] if declared.pattern is not None else []
        said += [f", sent in {declared.money.unit} units of its currency"] if declared.money is not None else []
        return "".join(said)

    def found(self, element: Any) -> Any:
        """The exact value in the record, before it is made to fit."""
        if self.given_by is not None:
            return self.given.get(self.given_by)
        if self.bare and isinstance(element, dict):
            return element.get("value")
        return at(element, self.spec.path)


def at(value: Any, path: Path) -> Any:
    """The value below these keys, None where they lead nowhere. () is the value itself.

    >>> at({"a": {"b": 1}}, ("a", "b")), at({"a": [1]}, ("a", "b"))
    (1, None)
    """
    for key in path:
        if type(value) is not dict:
            return None
        value = value.get(key)
    return value


def is_absent(value: Any, path: Path) -> bool:
    """Whether a key of this path is not there at all; null is there.

    >>> is_absent({"a": {"c": 1}}, ("a", "b")), is_absent({"a": None}, ("a", "b"))
    (True, False)
    """
    for key in path:
        if not isinstance(value, dict):
            return False
        if key not in value:
            return True
        value = value[key]
    return False


def items_at(value: Any, path: Path) -> Iterator[Any]:
    """The elements of all lists at a list path, which lists on the way do not interrupt.

    >>> list(items_at({"lines": [{"taxes": [1, 2]}, {"taxes": [3]}]}, ("lines", "taxes")))
    [1, 2, 3]
    """
    if isinstance(value, list):
        for item in value:
            yield from items_at(item, path) if path else (item,)
    elif isinstance(value, dict) and path:
        yield from items_at(value.get(path[0]), path[1:])


def kind_of(value: Any) -> str:
    """How a reason names a value without repeating it."""
    if isinstance(value, bool):
        return "a boolean"
    kinds = {str: "a string", dict: "an object", list: "a list", int: "an integer"}
    return kinds.get(type(value), "a number")
