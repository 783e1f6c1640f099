"""The columns that a pydantic model of the records promises, as the file would declare them.

Types, constraints and descriptions are taken; what the model's own validators do is not, since a table is a function
of its file and the responses. Fields that the model lacks are allowed, as the file's contract says.
"""

import enum
import importlib
import types
import typing
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    AliasChoices,
    AliasPath,
    BaseModel,
    BeforeValidator,
    PlainValidator,
    PydanticUndefinedAnnotation,
    PydanticUserError,
    RootModel,
    SecretBytes,
    SecretStr,
    TypeAdapter,
    WrapValidator,
)
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from ingest_assets.source.model import refuse
from ingest_assets.source.model_patterns import text_pattern

_PLAIN = {
    bool: "boolean",
    int: "bigint",
    float: "double",
    str: "varchar",
    datetime: "timestamptz",
    date: "date",
    time: "time",
    uuid.UUID: "uuid",
}
_SEVERAL = (dict, list, tuple, set, frozenset, BaseModel)
_OF_JSON = {
    "string": "varchar",
    "integer": "bigint",
    "number": "double",
    "boolean": "boolean",
    "date-time": "timestamptz",
    "date": "date",
    "duration": "json",  # a text, or a number of seconds
}
_ANYTHING = (Any, object, type(None))
_SECRETS = (SecretStr, SecretBytes)
_TEXTS = (str, SecretStr)
_VALIDATORS = (AfterValidator, BeforeValidator, PlainValidator, WrapValidator)
_DEEPEST = 8
Told = dict[str, dict[str, Any]]


def model_of(path: str) -> type[BaseModel]:
    """The model at `package.module:Model`; a ValueError that says what is wrong there."""
    module, _, name = path.partition(":")
    try:
        found = getattr(importlib.import_module(module), name, None)
    except ModuleNotFoundError as error:
        raise ValueError(
            f"there is no module {error.name!r}: install its package, or put its folder on PYTHONPATH"
        ) from None
    except Exception as error:
        raise ValueError(f"importing {module} fails: {type(error).__name__}: {error}") from error
    if not isinstance(found, type) or not issubclass(found, BaseModel):
        raise ValueError(  # noqa: TRY004 -- of the file, as all that is wrong in it
            f"{module} has no pydantic model {name!r}; expected package.module:Model"
        )
    return found


def declared_by(model: type[BaseModel]) -> tuple[Told, dict[str, Told]]:
    """The columns of the table, and those of the table of each list by its path, as a file declares them.

    >>> class Order(BaseModel):
    ...     id: int
    ...     tags: list[str] = []
    >>> declared_by(Order)
    ({'id': {'type': 'bigint', 'required': True}}, {'tags': {'value': {'type': 'varchar', 'required': True}}})
    """
    columns: Told = {}
    lists: dict[str, Told] = {}
    record, _, _ = _bare(model)
    if not _is_model(record):
        raise ValueError(f"{model.__name__}: a record is an object, and this model is none")
    _fields(record, columns, lists, (), (), (), needed=True)
    return columns, lists


def left_out(model: type[BaseModel]) -> Iterator[str]:
    """What a model and those in it ask of values and no column can: no record is set aside for its sake.

    >>> from pydantic import Field
    >>> class Order(BaseModel):
    ...     lines: list[int] = Field(min_length=1)
    >>> list(left_out(Order))
    ['Order.lines: min_length']
    """
    left, seen = [_bare(model)[0]], set[type[BaseModel]]()
    while left:
        if not _is_model(one := left.pop()) or one in seen:
            continue
        seen.add(one)
        for name, field in _told_fields(one).items():
            for kind, rules in _kinds(field.annotation, field.metadata):
                yield from (f"{one.__name__}.{name}: {rule}" for rule in _no_rules(kind, rules))
                left.append(kind)
        told = one.__pydantic_decorators__
        for name in (*told.field_validators, *told.validators, *told.model_validators, *told.root_validators):
            yield f"{one.__name__}: its validator {name}"


def _kinds(annotation: Any, metadata: Iterable[Any]) -> Iterator[tuple[Any, list[Any]]]:
    """A field's type with its rules, and those of what it is a list of."""
    kind, said, _ = _bare(annotation)
    yield kind, [*metadata, *said]
    if typing.get_origin(kind) is list:
        yield from _kinds((typing.get_args(kind) or (Any,))[0], ())


def _no_rules(kind: Any, rules: Sequence[Any]) -> Iterator[str]:
    is_whole_text = kind in _TEXTS and not any(getattr(one, "strip_whitespace", None) for one in rules)
    asked = ("multiple_of",) if is_whole_text else ("multiple_of", "min_length", "max_length")
    for one in rules:
        yield from (name for name in asked if getattr(one, name, None))
        if isinstance(one, _VALIDATORS):
            yield f"its validator {getattr(one.func, '__name__', one.func)}"


def _fields(
    model: type[BaseModel],
    columns: Told,
    lists: dict[str, Told],
    table: tuple[str, ...],
    names: tuple[str, ...],
    path: tuple[str, ...],
    *,
    needed: bool,
) -> None:
    """Declare a model's fields as columns of a list's table, () for the root; nested models are in the same row."""
    for name, field in _told_fields(model).items():
        place = f"{model.__name__}.{name}"
        kind, said, may_be_null = _bare(field.annotation)
        here, named = (*path, *_sent_as(name, field, place)), (*names, name)
        required = needed and field.is_required() and not may_be_null
        shallow = len(table) + len(here) < _DEEPEST
        if _is_model(kind) and shallow:
            _fields(kind, columns, lists, table, named, here, needed=required)
        elif typing.get_origin(kind) is list and shallow:
            _list(kind, lists, (*table, *here), place)
        else:
            column = _column(kind, [*field.metadata, *said], field, place)
            if required:
                column["required"] = True
            elif needed and (default := _default(field.default, place)) is not None:
                column["default"] = default  # of a model that may be absent, it would stand where there is none
            own = "__".join(named)
            if own in columns:
                raise ValueError(f"{place}: another field is column {own!r}, too: give one of them another name")
            columns[own] = column | ({"path": ".".join(here)} if here != named or path else {})


def _told_fields(model: type[BaseModel]) -> Mapping[str, FieldInfo]:
    """A model's fields; their types may be defined after it. A ValueError names one that is nowhere."""
    try:
        model.model_rebuild()
    except PydanticUndefinedAnnotation as error:
        raise ValueError(
            f"{model.__name__}: its fields name {error.name!r}, and {model.__module__} has no such type: import it "
            "there, and not for type checkers only"
        ) from None
    return model.model_fields


def _list(kind: Any, lists: dict[str, Told], table: tuple[str, ...], place: str) -> None:
    (element,) = typing.get_args(kind) or (Any,)
    element, said, may_be_null = _bare(element)
    if (dotted := ".".join(table)) in lists:
        raise ValueError(f"{place}: another field is the list at {dotted!r}, too: leave out one of them")
    columns: Told = {}
    lists[dotted] = columns
    if _is_model(element):
        _fields(element, columns, lists, table, (), (), needed=not may_be_null)
    else:
        columns["value"] = _told(element, said, f"{'.'.join(table)}[]")
        if not may_be_null:
            columns["value"]["required"] = True


def _column(kind: Any, rules: Sequence[Any], field: FieldInfo, place: str) -> dict[str, Any]:
    told = _told(kind, rules, place)
    if field.description is not None:
        told["description"] = field.description
    return told


def _told(kind: Any, rules: Sequence[Any], place: str) -> dict[str, Any]:
    """What a type and its rules say of a column."""
    told: dict[str, Any] = {"type": _type(kind, rules), **_values(kind)}
    if kind in _SECRETS:
        told["sensitive"] = True
    if kind in _TEXTS and (pattern := text_pattern(rules)) is not None:
        told["pattern"] = pattern
    return told | dict(_rules(told["type"], rules, place))


def _default(value: Any, place: str) -> Any:
    """A default as a file writes it, None where there is none, or where it is no single value."""
    if isinstance(value, RootModel | enum.Enum):
        return _default(value.root if isinstance(value, RootModel) else value.value, place)
    if value is None or value is PydanticUndefined or isinstance(value, _SEVERAL):
        return None
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, Decimal | uuid.UUID):
        return str(value)
    if isinstance(value, str | int | float):
        return value
    raise ValueError(f"{place}: default {value!r} is no value of a column; expected a text, a number or a time")


def _type(kind: Any, metadata: Iterable[Any]) -> str:
    if _values(kind):
        return "varchar"
    if kind is Decimal:
        names = ("max_digits", "decimal_places")
        digits = {name: getattr(one, name) for one in metadata for name in names if hasattr(one, name)}
        return _decimal(digits.get("max_digits"), digits.get("decimal_places"))
    return _PLAIN[kind] if kind in _PLAIN else _sent(kind)


def _sent(kind: Any) -> str:
    """The type of what JSON has of a type that is none of the plain ones: of a URL, it is a text."""
    try:
        told = TypeAdapter(kind).json_schema()
    except PydanticUserError:  # no JSON at all is known of it
        return "json"
    return _OF_JSON.get(told.get("format", ""), _OF_JSON.get(told.get("type", ""), "json"))


def _decimal(digits: int | None, places: int | None) -> str:
    """The decimal of so many digits; where nothing is said of those after the point, any may be before it, too."""
    if places is not None or digits is None:
        return f"decimal({digits or 38},{9 if places is None else places})"
    places = max(0, min(9, 38 - digits))
    return f"decimal({digits + places},{places})"


def _values(kind: Any) -> dict[str, list[str]]:
    """The allowed texts of an enumeration or a Literal, where these are all texts, or null."""
    values = [value for value in _choices(kind) if value is not None]
    return {"values": values} if values and all(isinstance(value, str) for value in values) else {}


def _choices(kind: Any) -> list[Any]:
    """The values of an enumeration or a Literal, none of other types."""
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return [member.value for member in kind]
    return list(typing.get_args(kind)) if typing.get_origin(kind) is typing.Literal else []


def _rules(kind: str, said: Iterable[Any], place: str) -> Iterator[tuple[str, Any]]:
    for one in said:
        for name, rule in (("ge", "min"), ("le", "max"), ("gt", "min"), ("lt", "max")):
            if (bound := getattr(one, name, None)) is None or kind in ("varchar", "json", "boolean", "uuid"):
                continue
            if name in ("gt", "lt") and kind != "bigint":
                raise ValueError(f"{place}: {name} of what is no integer is no rule of a column; say {name[0]}e")
            shift = {"gt": 1, "lt": -1}.get(name, 0)
            yield rule, bound + shift if shift else bound if isinstance(bound, int | float) else str(bound)


def _sent_as(name: str, field: FieldInfo, place: str) -> tuple[str, ...]:
    alias = field.validation_alias or field.alias
    if isinstance(alias, AliasChoices):
        if len(alias.choices) > 1:
            told = ", ".join(map(str, alias.choices))
            raise ValueError(f"{place}: a column has one path, and these are several: {told}; leave one of them")
        (alias,) = alias.choices
    keys = alias.path if isinstance(alias, AliasPath) else [name if alias is None else alias]
    for key in keys:
        if not isinstance(key, str):
            raise ValueError(  # noqa: TRY004 -- of the file, as all that is wrong in it
                f"{place}: an element of a list is no column; declare the list as one"
            )
        if "." in key:
            raise ValueError(
                f"{place}: the key {key!r} has a dot, and in a path that leads into an object; leave it out"
            )
    return tuple(map(str, keys))


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _bare(kind: Any) -> tuple[Any, list[Any], bool]:
    """A type without None, annotations and root models, what these say, and whether null is a value of it."""
    if isinstance(kind, type) and issubclass(kind, RootModel):
        root = _told_fields(kind)["root"]
        bare, told, null = _bare(root.annotation)
        return bare, [*root.metadata, *told], null
    if (named := getattr(kind, "__supertype__", None) or getattr(kind, "__value__", None)) is not None:
        return _bare(named)  # NewType("Id", int), type Id = int
    if typing.get_origin(kind) is Annotated:
        inner, *said = typing.get_args(kind)
        told = [rule for one in said for rule in (one.metadata if isinstance(one, FieldInfo) else [one])]
        bare, more, null = _bare(inner)
        return bare, [*told, *more], null
    if typing.get_origin(kind) not in (typing.Union, types.UnionType):
        return kind, [], kind in _ANYTHING or None in _choices(kind)
    left = [one for one in typing.get_args(kind) if one is not type(None)]
    if len(left) != 1:
        return Any, [], any(_bare(one)[2] for one in typing.get_args(kind))
    bare, told, _ = _bare(left[0])
    return bare, told, True


def with_model_columns(told: Any) -> Any:
    """What is told of an endpoint, with the columns of the model that its contract names; the file's own come first."""
    contract = told.get("contract") if isinstance(told, Mapping) else None
    path = contract.get("model") if isinstance(contract, Mapping) else contract
    if not isinstance(path, str) or ":" not in path:
        return told
    try:
        columns, lists = declared_by(model_of(path))
    except ValueError as error:
        refuse([(("contract",), str(error))])
        raise
    children = dict(told.get("children") or {})
    for table, found in lists.items():
        own = children.get(table) or {}
        own = own.model_dump(by_alias=True, exclude_unset=True) if isinstance(own, BaseModel) else own
        children[table] = {**own, "columns": {**found, **(own.get("columns") or {})}}
    return {**told, "columns": {**columns, **(told.get("columns") or {})}, "children": children}
