"""What was seen on which page, for walks of any length: some 30 bytes an entry, where a dict of hashes takes 150."""

from array import array

_DIGITS = 16  # of a hash in hexadecimal: 64 bits tell a million pages apart but for one chance in thirty million
_FIRST_SLOTS = 64
_FULL = 2 / 3


class Seen:
    """Numbers by the hexadecimal hash of what they belong to; a hash keeps the number that it got first.

    A table with open addressing: of each slot the hash, and its number plus one, or 0 where the slot is free.

    >>> seen = Seen()
    >>> seen.setdefault("00a1b2c3d4e5f607ff", 3), seen.setdefault("00a1b2c3d4e5f607ff", 5), seen.get("ff" * 16)
    (3, 3, None)
    """

    def __init__(self) -> None:
        self._keys, self._numbers = _empty(_FIRST_SLOTS)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def get(self, told: str) -> int | None:
        """The number of a hash, or None."""
        found = self._numbers[self._slot(_key(told))]
        return found - 1 if found else None

    def setdefault(self, told: str, number: int) -> int:
        """The number of a hash, which gets this one where it has none."""
        key = _key(told)
        slot = self._slot(key)
        if self._numbers[slot]:
            return self._numbers[slot] - 1
        self._put(slot, key, number + 1)
        self._count += 1
        if self._count > len(self._keys) * _FULL:
            self._grow()
        return number

    def _slot(self, key: int) -> int:
        """Where a hash is, or would be."""
        last = len(self._keys) - 1
        slot = key & last
        while self._numbers[slot] and self._keys[slot] != key:
            slot = (slot + 1) & last
        return slot

    def _put(self, slot: int, key: int, number: int) -> None:
        self._keys[slot], self._numbers[slot] = key, number

    def _grow(self) -> None:
        former = zip(self._keys, self._numbers, strict=True)
        self._keys, self._numbers = _empty(2 * len(self._keys))
        for key, number in former:
            if number:
                self._put(self._slot(key), key, number)


def _key(told: str) -> int:
    return int(told[:_DIGITS], 16)


def _empty(slots: int) -> "tuple[array[int], array[int]]":
    return array("Q", bytes(8 * slots)), array("L", bytes(array("L").itemsize * slots))
