"""How far a run is, and which units of its work are committed, as its record in the store holds it.

What the structs say is bounded: mostly some 40 bytes, with many skipped items 2.4 KB for each name.
"""

from typing import NamedTuple

import msgspec

MOST_SKIPS = 20  # that a tally tells one by one; it counts them all
MOST_TALLIES = 16  # kinds of units that one run may have
TEXT_CHARS = 100  # of an error, a phase, or a name


class Mark(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """How far an attempt is, by its own account."""

    done: int
    total: int = 0  # 0 if that is not known
    phase: str = ""
    attempt: int = 1
    base: int = 0  # what was done when the attempt, or the phase, told of it for the first time
    took_ms: int = 0  # since then; so the rate is that of what was really done meanwhile

    @property
    def rate(self) -> float:
        """Return how many are done in a second; 0 if that is not known yet."""
        return 1000 * (self.done - self.base) / self.took_ms if self.took_ms else 0.0


class Skip(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """An item that was left out."""

    position: int  # among all items, the first is 0
    kind: str  # the error's class
    message: str


class Sum(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What became of the units of one name: what the ledger tells of them. In this order."""

    name: str = ""
    items: int = 0  # in units that were committed
    skipped: int = 0
    units: int = 0  # that were committed
    failed: int = 0  # tries of a unit that were rolled back
    took_ms: int = 0  # in all tries of all units
    longest_ms: int = 0  # in one try


class Tally(Sum, frozen=True, kw_only=True, array_like=True):
    """The same with what the next attempt needs: a checkpoint."""

    position: int = 0  # how many items, from the first one on, are committed or skipped
    total: int = 0  # 0 if that is not known
    skips: list[Skip] = []  # the first `MOST_SKIPS`


class Told(NamedTuple):
    """What the store answered."""

    word: str  # one of those of `progress.lua`
    units: bytes = b""  # those that were committed before, if they were asked for


_mark = msgspec.msgpack.Decoder(Mark)
_tallies = msgspec.msgpack.Decoder(list[Tally])
_sums = msgspec.msgpack.Decoder(list[Sum])


def mark(packed: bytes) -> Mark | None:
    """Return the mark that was packed; None if there is none, or a later version's."""
    try:
        return _mark.decode(packed) if packed else None
    except msgspec.MsgspecError:
        return None


def tallies(packed: bytes) -> list[Tally]:
    """Return the tallies that were packed, none for nothing; raises `ValueError` if malformed."""
    return _tallies.decode(packed) if packed else []


def sums(packed: bytes) -> list[Sum]:
    """Return the sums of tallies that were packed; none if they are a later version's."""
    try:
        return _sums.decode(packed) if packed else []
    except msgspec.MsgspecError:
        return []
