"""How a path in a record becomes the name of a column or table.

Pure rules only: what was decided once is kept in the name registry, see `ingest_assets.normalize.registry`.
"""

import hashlib
import re
from collections.abc import Collection
from functools import lru_cache

Path = tuple[str, ...]

LONGEST = 63

# DuckDB 2.0: select keyword_name from duckdb_keywords() where keyword_category = 'reserved'.
# Frozen here, because a name must not change with the version of the database.
_RESERVED = """
    all analyse analyze and any array as asc asymmetric both case cast check collate column constraint create
    default deferrable desc describe distinct do else end except false fetch for foreign from group having in
    initially intersect into lambda lateral leading limit not null offset on only or order pivot pivot_longer
    pivot_wider placing primary qualify references returning select show some summarize symmetric table then to
    trailing true union unique unpivot using variadic when where window with
"""
RESERVED = frozenset(_RESERVED.split())

_BEFORE_CAPITAL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_STRANGE = re.compile(r"\W+")


@lru_cache(maxsize=65_536)
def cleaned(key: str) -> str:
    """One key in snake case: letters, digits and single inner underscores as sent; never empty.

    >>> cleaned("createdAt"), cleaned("customerID"), cleaned("HTTPCode"), cleaned("$insert_id"), cleaned("Größe (cm)")
    ('created_at', 'customer_id', 'http_code', 'insert_id', 'größe_cm')
    >>> cleaned("_"), cleaned("2nd")
    ('field', 'n2nd')
    """
    name = _STRANGE.sub("_", _BEFORE_CAPITAL.sub("_", key)).lower()
    name = _STRANGE.sub("_", name).strip("_")  # again: İ in small letters is two characters, one of them strange
    if not name:
        return "field"
    return f"n{name}" if name[0].isdigit() else name


def shortened(name: str, told: str) -> str:
    """The name, cut to 63 characters with six hex digits of a hash of `told` where it is longer.

    >>> len(shortened("x" * 64, "x")), shortened("id", "id")
    (63, 'id')
    """
    if len(name) <= LONGEST:
        return name
    return f"{name[: LONGEST - 7]}_{hashlib.sha256(told.encode(errors='replace')).hexdigest()[:6]}"


def column_name(path: Path) -> str:
    """The name that a path asks for, before clashes are settled. A list's bare element is `value`.

    >>> column_name(("customer", "homeAddress", "city")), column_name(("order",)), column_name(())
    ('customer__home_address__city', 'order_', 'value')
    """
    if not path:
        return "value"
    name = shortened("__".join(map(cleaned, path)), "\x1f".join(path))
    return f"{name}_" if name in RESERVED else name


def table_name(endpoint: str, path: Path) -> str:
    """The name of the table of the list at this path; the root's is the endpoint's.

    >>> table_name("orders", ("lines", "taxRates")), table_name("orders", ())
    ('orders__lines__tax_rates', 'orders')
    """
    return shortened("__".join([endpoint, *map(cleaned, path)]), "\x1f".join([endpoint, *path]))


def asks_for(path: Path, name: str) -> bool:
    """Whether a column declared by name alone may be found at this path.

    >>> asks_for(("order",), "order"), asks_for(("customer", "firstName"), "customer__first_name")
    (True, True)
    """
    return name in {column_name(path), "__".join(path), "__".join(map(cleaned, path))}


def free_name(name: str, taken: Collection[str]) -> str:
    """The name, or the first of `_2`, `_3`, … that is not taken. DuckDB compares names without case.

    >>> free_name("id", {"id", "id_2"})
    'id_3'
    """
    if name.lower() not in taken:
        return name
    number = 2
    while (tried := f"{name[: LONGEST - 1 - len(str(number))]}_{number}").lower() in taken:
        number += 1
    return tried


def in_list(list_path: Path, column: str) -> str:
    """How a column of a child table is named beside those of the endpoint's own table, () for which it is the root.

    >>> in_list(("lines", "taxes"), "rate")
    'lines.taxes.rate'
    """
    return ".".join((*list_path, column))
