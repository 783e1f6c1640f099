"""When a fetch breaks its contract as a whole, so that nothing of it is loaded."""

from collections import Counter
from collections.abc import Iterable

from msgspec import Struct, field

from ingest_assets.errors import ContractBroken
from ingest_assets.load.troubles import NEXT
from ingest_assets.normalize.normalize import Quarantined

_TOLD = 3


class Broken(Struct):
    """What is known of the records of a fetch that do not fit: the first of each reason that fails a load.

    `missing` counts those that lack the key of a value which has to be there, by column.
    """

    first: dict[str, Quarantined] = field(default_factory=dict)
    times: Counter[str] = field(default_factory=Counter)
    missing: Counter[str] = field(default_factory=Counter)

    def note(self, aside: Iterable[Quarantined]) -> None:
        """Learn from records that were set aside."""
        for record in aside:
            self.missing.update(record.lacks)
            if record.kind == "broken":
                self.first.setdefault(record.reason, record)
                self.times[record.reason] += 1

    def with_rest(self, rest: "Broken") -> "Broken":
        """The same of these other records, too."""
        first = sorted([*self.first.values(), *rest.first.values()], key=_place, reverse=True)
        return Broken(
            {record.reason: record for record in first},
            self.times + rest.times,
            self.missing + rest.missing,
        )

    def refuse(self, label: str, records: int) -> None:
        """Raise ContractBroken where a record of these breaks the contract, or none of so many has what all need."""
        if self.first:
            often = sorted(self.first.values(), key=lambda record: (-self.times[record.reason], *_place(record)))
            told = [self._told(record) for record in often[:_TOLD]]
            more = f"; and {len(self.times) - _TOLD} reasons more" if len(self.times) > _TOLD else ""
            raise ContractBroken(f"{label} breaks the contract: {'; '.join(told)}{more}; {NEXT}")
        for column, count in self.missing.items():
            if count == records:
                raise ContractBroken(
                    f"{label} breaks the contract: none of its {records:,} records has column {column!r}, "
                    f"which has to be there: was it renamed, or is its path another one? {NEXT[0].upper()}{NEXT[1:]}"
                )

    def _told(self, record: Quarantined) -> str:
        value, times = f", such as {record.value}" if record.value is not None else "", self.times[record.reason]
        return f"{record.reason}{value} (page {record.page}, record {record.position}; {times:,} in all)"


def _place(record: Quarantined) -> tuple[int, int]:
    return record.page, record.position
