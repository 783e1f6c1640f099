"""A column's values as those of a wider type: the SQL that gives just what a rebuild would.

    bigint   ─► hugeint, double, decimal, json         double  ─► decimal, json
    hugeint  ─► decimal, json                          decimal ─► decimal, json
    boolean  ─► json                                   varchar ─► json

It can be done without the responses, since a column's type is one that is exact for all its values, and the text of a
JSON value depends on nothing but the value (`ingest_assets.normalize.values`).
"""

_MOST_ZEROS = 40  # as in `number_text`
_ESCAPED = {"\\": r"\\", '"': r"\"", "\n": r"\n", "\r": r"\r", "\t": r"\t", "\f": r"\f", "\b": r"\b"}
_ESCAPED |= {chr(code): f"\\u{code:04x}" for code in range(32) if chr(code) not in _ESCAPED}
_CASTS = {
    ("BIGINT", "HUGEINT"),
    ("BIGINT", "DOUBLE"),
    ("BIGINT", "DECIMAL"),
    ("HUGEINT", "DECIMAL"),
    ("DECIMAL", "DECIMAL"),
}


def widened(column: str, former: str, wanted: str) -> str | None:
    """SQL: the values of a learned column, quoted, in a wider type; None where that takes the responses.

    >>> widened('"amount"', "BIGINT", "HUGEINT")
    'CAST("amount" AS HUGEINT)'
    >>> widened('"amount"', "JSON", "BIGINT")
    """
    change, text = (_kind(former), _kind(wanted)), f"CAST({column} AS VARCHAR)"
    if change in _CASTS:
        return f"CAST({column} AS {wanted})"
    if change == ("DOUBLE", "DECIMAL"):
        return f"CAST({text} AS {wanted})"  # DuckDB would round
    texts = dict.fromkeys(("BOOLEAN", "BIGINT", "HUGEINT"), text)
    texts |= {"DECIMAL": _of_decimal(text), "DOUBLE": _of_double(column), "VARCHAR": _of_text(column)}
    return f"CAST({texts[change[0]]} AS JSON)" if change[1] == "JSON" and change[0] in texts else None


def _kind(type_name: str) -> str:
    return type_name.split("(", maxsplit=1)[0]


def _of_decimal(text: str) -> str:
    plain = f"rtrim(rtrim(regexp_replace({text}, '^(-?)[.]', '\\10.'), '0'), '.')"  # where all digits are behind it
    return f"CASE WHEN contains({text}, '.') THEN {plain} ELSE {text} END"


def _of_double(column: str) -> str:
    """The shortest decimal number that is this double, written out as far as `number_text` does."""
    text = f"CAST({column} AS VARCHAR)"
    figures = f"replace(ltrim(split_part({text}, 'e', 1), '-'), '.', '')"
    exponent = f"CAST(split_part({text}, 'e', 2) AS INTEGER)"
    scientific = f"concat(ltrim(split_part({text}, 'e', 1), '-'), 'e', {exponent})"
    large = f"rpad({figures}, {exponent} + 1, '0')"
    small = f"concat('0.', repeat('0', -{exponent} - 1), {figures})"
    return f"""CASE
        WHEN {column} IS NULL THEN NULL
        WHEN {column} = 0 THEN '0'
        WHEN NOT contains({text}, 'e') THEN regexp_replace({text}, '[.]0$', '')
        ELSE concat(CASE WHEN {column} < 0 THEN '-' ELSE '' END, CASE
            WHEN {exponent} >= length({figures}) + {_MOST_ZEROS} OR {exponent} + 1 < -{_MOST_ZEROS} THEN {scientific}
            WHEN {exponent} > 0 THEN {large}
            ELSE {small} END) END"""


def _of_text(column: str) -> str:
    escaped = column
    for character, told in _ESCAPED.items():
        escaped = f"replace({escaped}, chr({ord(character)}), '{told}')"
    return f"""CASE WHEN regexp_matches({column}, '[\\x00-\\x1f"\\\\]') THEN concat('"', {escaped}, '"')
        WHEN {column} IS NOT NULL THEN concat('"', {column}, '"') END"""
