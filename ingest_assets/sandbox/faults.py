"""Faults that are switched on by request: what strikes, whom, how often.

429_storm                    refused with 429; retry_after says what the header says
500, 502, outage (503)       failures of the API; an outage lasts until it is cleared
expired_token                401 to a right credential
errors_in_200                an error body with status 200
cut_body                     Content-Length promises more than comes, then the connection ends
cut_body_chunked             ends cleanly in mid-JSON
slow_body                    comes in pieces, `seconds` apart
terminated_early             the export's last line is 'terminated early'
empty_page, repeated_cursor  a page without records that is not the last; a next cursor that is the same again
all_faults                   a tenth of all requests, by schedule: 429, 500, 502, cut and slow bodies
"""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

FAILURES = {"500": 500, "502": 502, "outage": 503}
BODIES = frozenset({"cut_body", "cut_body_chunked", "slow_body", "terminated_early", "errors_in_200"})
PAGES = frozenset({"empty_page", "repeated_cursor"})
NAMES = frozenset({"429_storm", "expired_token", "all_faults", *FAILURES, *BODIES, *PAGES})
MIX = ("429_storm", "500", "502", "cut_body", "slow_body")
CURSORS = ("starting_after", "ending_before", "cursor", "page[after]", "after", "page")
EVERY = 10


@dataclass
class Fault:
    """One fault and whom it strikes: paths that begin with `path`, requests with the values of `when`, each
    `every`-th of them, `times` in all (None: no end). `kinds` are what a mix is made of."""

    fault: str
    path: str = ""
    times: int | None = 1
    every: int = 1
    when: Mapping[str, str] = field(default_factory=dict)
    retry_after: float | None = None
    seconds: float = 0.2
    seed: int = 1
    kinds: tuple[str, ...] = MIX
    matched: int = 0
    struck: int = 0


@dataclass(frozen=True)
class Strike:
    """A fault that strikes one request."""

    fault: str
    retry_after: float | None
    seconds: float


class Faults:
    """The faults that are switched on."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def switch_on(self, told: Mapping[str, Any]) -> Fault:
        """Switches a fault on, or raises ValueError where it is none.

        Without `times` a fault strikes once; an outage, a mix and one with `every` have no end.
        """
        known = set(Fault.__dataclass_fields__) - {"matched", "struck"}
        if unknown := set(told) - known:
            raise ValueError(f"unknown keys {sorted(unknown)}: known are {sorted(known)}")
        name = str(told.get("fault"))
        if name not in NAMES:
            raise ValueError(f"unknown fault {name!r}: known are {sorted(NAMES)}")
        endless = name in {"outage", "all_faults"} or "every" in told
        values = {"times": None if endless else 1, **told, "fault": name}
        if name == "all_faults":
            values = {"seconds": 0.02, **values, "kinds": tuple(told.get("kinds", MIX))}
        fault = Fault(**values)
        self._faults.append(fault)
        return fault

    def clear(self) -> None:
        """Switches all faults off."""
        self._faults.clear()

    def strike(self, path: str, query: Mapping[str, list[str]]) -> Strike | None:
        """The fault that strikes this request, if one does: the first that was switched on and is due."""
        for fault in self._faults:
            if not _concerns(fault, path, query):
                continue
            fault.matched += 1
            if fault.times is not None and fault.struck >= fault.times:
                continue
            kind = _due(fault)
            if kind is not None:
                fault.struck += 1
                return Strike(kind, fault.retry_after, fault.seconds)
        return None

    def told(self) -> list[dict[str, Any]]:
        """All faults with how often they were met and how often they struck."""
        return [dict(vars(fault)) for fault in self._faults]


def _concerns(fault: Fault, path: str, query: Mapping[str, list[str]]) -> bool:
    if not path.startswith(fault.path):
        return False
    if fault.fault == "repeated_cursor" and not any(name in query for name in CURSORS):
        return False  # a first page has no cursor to repeat
    return all(value in query.get(name, []) for name, value in fault.when.items())


def _due(fault: Fault) -> str | None:
    if fault.fault != "all_faults":
        return fault.fault if fault.matched % fault.every == 0 else None
    block, place = divmod(fault.matched, EVERY)
    dice = zlib.crc32(b"%d/%d" % (fault.seed, block))
    return fault.kinds[dice // EVERY % len(fault.kinds)] if dice % EVERY == place else None
