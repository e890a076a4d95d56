"""Durations as people write them (`500ms 30s 15m 1h30m 2d`) and as we count them: milliseconds."""

import re

UNITS_MS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
PATTERN = r"^([0-9]{1,64}(ms|s|m|h|d))+$"
_WHOLE = re.compile(PATTERN)
_PART = re.compile(r"([0-9]+)(ms|s|m|h|d)")
_LONGEST_MS = 366 * UNITS_MS["d"]


def parse(text: str) -> int:
    """Return the milliseconds that `text` stands for, at least 1 and at most 366 days.

    Raises `ValueError` with a sentence that says what to write instead.
    """
    if not _WHOLE.fullmatch(text):
        raise ValueError(f"{text!r} is no duration; write for example 500ms, 30s, 15m, 1h30m or 2d")
    parts = _PART.findall(text)
    units = [unit for _, unit in parts]
    if units != sorted(set(units), key=list(UNITS_MS).index):
        raise ValueError(f"{text!r} is no duration; write each unit once, largest first: 1h30m")
    total = sum(int(count) * UNITS_MS[unit] for count, unit in parts)
    if not 1 <= total <= _LONGEST_MS:
        raise ValueError(f"{text!r} is out of range; a duration lies between 1ms and 366d")
    return total


def text(ms: int) -> str:
    """Return the shortest way to write `ms` milliseconds, such as `1h30m`."""
    parts = []
    for unit, size in UNITS_MS.items():
        count, ms = divmod(ms, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0ms"
