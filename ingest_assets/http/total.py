"""How many records an API says there are, and how much that word is worth.

exactly    fewer are never complete
at_least   the API stops counting somewhere: fewer are never complete, more are expected
about      an estimate: kept and shown, and decides nothing
"""

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct
from pydantic import Field

from ingest_assets.errors import WalkIncomplete
from ingest_assets.http.page import Page, find
from ingest_assets.http.place import Place, kind, whole

Tells = Literal["exactly", "at_least", "about"]
_RELATIONS: Mapping[Any, Tells] = {"eq": "exactly", "gte": "at_least", True: "exactly", False: "about"}


class Expected(Struct, frozen=True):
    """A number of records, and how it is meant."""

    records: int
    tells: Tells = "exactly"

    def __str__(self) -> str:
        before = {"exactly": "", "at_least": "at least ", "about": "about "}[self.tells]
        return f"{before}{self.records:,}"

    def falls_short(self, received: int) -> bool:
        """Whether so many records are too few.

        >>> [Expected(10, tells).falls_short(9) for tells in ("exactly", "at_least", "about")]
        [True, True, False]
        """
        return self.tells != "about" and received < self.records


def number(value: Any, tells: Tells = "exactly") -> Expected | None:
    """The number that a value tells; None where it tells none. A text such as 10000+ is a lower bound.

    >>> number(250), number("10,000+"), number("many")
    (Expected(records=250, tells='exactly'), Expected(records=10000, tells='at_least'), None)
    """
    if isinstance(value, str) and value.rstrip().endswith("+"):
        value, tells = value.rstrip()[:-1].replace(",", ""), "about" if tells == "about" else "at_least"
    found = whole(value)
    return None if found is None else Expected(found, tells)


class Total(Place):
    """Where an answer says how many records there are in all, and how it means that.

    >>> page = Page(0, None, 200, envelope={"hits": {"total": {"value": 10000, "relation": "gte"}}})
    >>> str(Total(path="hits.total.value", relation="hits.total.relation").told(page))
    'at least 10,000'
    """

    tells: Tells = Field(
        "exactly",
        description="at_least where the API stops counting somewhere, about where it estimates; a text such as 10000+ "
        "is at_least by itself",
    )
    relation: str | None = Field(
        None,
        description="dotted path in the body of how the number is meant: eq or true (exactly), gte (at least), "
        "false (about)",
    )

    def told(self, page: Page) -> Expected | None:
        """What the answer says, or None where there is no number.

        Raises WalkIncomplete where `relation` leads to none of the words that it can be.
        """
        return number(self.find(page), self.tells if self.relation is None else self._related(page, self.relation))

    def _related(self, page: Page, path: str) -> Tells:
        found = find(page.envelope, path)
        if not isinstance(found, bool | str) or found not in _RELATIONS:
            raise WalkIncomplete(f"total: expected eq, gte, true or false at {path!r}, found {kind(found)}")
        return _RELATIONS[found]
