"""A single date and time on the local clock, such as `2026-12-24 18:00`.

Wall times are milliseconds since 1970-01-01 00:00 on the local clock.
"""

import re
from datetime import UTC, datetime
from functools import lru_cache

from rota.common import clock

_TEXT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}(:[0-9]{2})?")
_YEARS = range(1970, 3000)
_LONGEST = 30  # characters that a message quotes


class Once:
    """A series of one wall time."""

    __slots__ = ("_wall",)

    def __init__(self, wall: int) -> None:
        self._wall = wall

    def after(self, wall: int) -> int | None:
        """Return the time if it lies strictly after `wall`."""
        return self._wall if wall < self._wall else None

    def until(self, wall: int) -> int | None:
        """Return the time if it lies at or before `wall`."""
        return self._wall if self._wall <= wall else None


@lru_cache(maxsize=4096)
def read(text: str) -> int:
    """Return the wall time that `text` stands for.

    Raises `ValueError` with a sentence that says what to write instead.
    """
    moment = _parse(text)
    if moment is None or moment.year not in _YEARS:
        raise ValueError(
            f"{text[:_LONGEST]!r} is no date and time; write for example 2026-12-24 18:00, as the"
            " clock of the job's time zone shows it"
        )
    return clock.epoch_ms(moment.replace(tzinfo=UTC))


def _parse(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if _TEXT.fullmatch(text) else None
    except ValueError:
        return None
