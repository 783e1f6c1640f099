"""What answers of an API mean beyond their status, in the words of a source file: the first rule that fits says.

    responses:
      - {status: 403, text: secondary rate limit, means: throttled, wait: PT1M}
      - {path: errors.extensions.code, equals: THROTTLED, means: throttled}
      - {status: 403, text: API disabled, means: fail, message: Turn the API on under Settings}

A rule says of which answers it speaks (status; a header, a path in the body, its whole text, or a condition), then what
they mean. Whatever its status, an answer that a rule speaks of is no page, but where the rule says so.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from ingest_assets.http.conditions import holds
from ingest_assets.http.rule_problems import OF_RECORDS, SILENT, problems
from ingest_assets.http.waits import Told, Wait, reads_body, values_at

MOST_BYTES = 1 << 18
"""What of a body is looked at: answers that tell of a limit are short, and pages are not held in memory."""

Value = str | int | float | bool
Means = Literal["throttled", "retry", "fail", "new_credential", "skip_parent", "end", "empty"]


def _several(given: Any) -> Any:
    return given if isinstance(given, list | tuple) else (given,)


Statuses = Annotated[
    tuple[Annotated[int, Field(ge=200, le=599)], ...],
    BeforeValidator(_several, json_schema_input_type=int | tuple[int, ...]),
]
Values = Annotated[tuple[Value, ...], BeforeValidator(_several, json_schema_input_type=Value | tuple[Value, ...])]
Waits = Annotated[tuple[Wait, ...], BeforeValidator(_several, json_schema_input_type=Wait | tuple[Wait, ...])]


class ResponseRule(BaseModel):
    """Of which answers it speaks, and what they mean."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    status: Statuses = Field((), description="HTTP status, one or several; any where nothing is said")
    header: str | None = Field(None, min_length=1, description="name of a response header, in any case")
    path: str | None = Field(
        None, min_length=1, description="dotted path in the body; of a list on the way, any element"
    )
    equals: Values = Field((), description="what stands in the header or at the path: this, or one of these")
    text: str | None = Field(
        None, min_length=1, description="a part of what stands there, or of the whole body; small or large letters"
    )
    jmespath: str | None = Field(
        None, min_length=1, description="a condition on the body in JMESPath, such as error.code == 'E7' && !items"
    )
    means: Means = Field(
        description="throttled: too much was asked; all processes wait, then the request is made again. retry: it is "
        "made again, and nobody else waits. fail: it failed for good, as `message` says. new_credential: it is "
        "over; another one is taken, once, and the request made again. skip_parent: no "
        "more is asked of this parent, which is named with the verdict. end: the walk ends here, "
        "with this page where it is one. empty: a page of no records"
    )
    message: str | None = Field(
        None, min_length=1, max_length=500, description="with means: fail: what is wrong and what to do, in your words"
    )
    wait: Waits = Field(
        (),
        description="how long: a duration, {path: …, as: …}, {header: …, as: …}, {until: minute, hour or day} or "
        "{needed: …, available: …, per_second: …}; of several the first that the answer tells. Without it: as "
        "Retry-After says, else as other retries",
    )

    @model_validator(mode="after")
    def _speaks_of_some(self) -> "ResponseRule":
        if problem := next(problems(self), None):
            raise ValueError(problem)
        return self

    def __str__(self) -> str:
        where = f"header {self.header!r}" if self.header is not None else f"{self.path!r}"
        if self.jmespath is not None:
            return f"{self.jmespath!r} holds"
        if self.header is None and self.path is None:
            return f"its body holds {self.text!r}" if self.text is not None else "its status says so"
        if self.text is not None:
            return f"{where} holds {self.text!r}"
        return f"{where} is {' or '.join(map(repr, self.equals))}" if self.equals else f"there is {where}"

    def speaks_of(self, status: int) -> bool:
        """Whether it may fit an answer of this status."""
        if self.means in OF_RECORDS and status in SILENT:
            return False
        return not self.status or status in self.status

    @property
    def by_status_alone(self) -> bool:
        """Whether nothing but the status says of which answers it speaks."""
        return self.header is None and self.path is None and self.text is None and self.jmespath is None

    @property
    def reads_body(self) -> bool:
        """Whether the body decides, or says how long."""
        decides = self.path is not None or self.jmespath is not None or (self.text is not None and self.header is None)
        return decides or any(reads_body(wait) for wait in self.wait)

    def fits(self, told: Told) -> bool:
        """Whether it speaks of this answer.

        >>> rule = ResponseRule(path="error.code", equals=[4, 17], means="throttled")
        >>> [rule.fits(Told(400, {}, body={"error": {"code": code}})) for code in (17, "17", 190, None)]
        [True, True, False, False]
        """
        if not self.speaks_of(told.status):
            return False
        if self.jmespath is not None:
            return holds(self.jmespath, told.body)
        if self.header is None and self.path is None:
            return self.text is None or self.text.casefold() in told.text.casefold()
        return any(self._is_meant(found) for found in self._found(told))

    def _found(self, told: Told) -> list[Any]:
        if self.path is not None:
            return values_at(told.body, self.path)
        found = told.headers.get((self.header or "").lower())
        return [] if found is None else [found.strip()]

    def _is_meant(self, found: Any) -> bool:
        if self.text is not None:
            return isinstance(found, str) and self.text.casefold() in found.casefold()
        if self.equals:
            return any(_same(found, wanted) for wanted in self.equals)
        return found not in (None, False, "")


def _same(found: Any, wanted: Value) -> bool:
    """Whether two are equal; numbers may be written as texts, but true is not 1."""
    if isinstance(found, bool) or isinstance(wanted, bool):
        return found is wanted
    return bool(found == wanted) or (isinstance(found, str | int | float) and str(found) == str(wanted))


def concerned(rules: Iterable[ResponseRule], status: int) -> list[ResponseRule]:
    """The rules that may fit answers of a status."""
    return [rule for rule in rules if rule.speaks_of(status)]


def fitting(rules: Sequence[ResponseRule], told: Told) -> ResponseRule | None:
    """The first rule that speaks of an answer."""
    return next((rule for rule in rules if rule.fits(told)), None)


def parsed(text: bytes) -> Any:
    """The JSON of a body; None where it is none, so that no path leads anywhere in it."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
