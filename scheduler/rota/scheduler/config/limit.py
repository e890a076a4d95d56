"""What limits and shares may say: checks like those of `field`."""

from functools import lru_cache
from typing import Any, Final

from rota.scheduler.config import field, rate
from rota.scheduler.config.field import FieldError

BURST_ALONE: Final = "burst has no rate_limit that it belongs to"
BURST_ADVICE: Final = "add for example `rate_limit: 100/m`, or delete burst"
_CACHED = 4096  # different rates that are remembered


@lru_cache(_CACHED)
def rate_limit(text: str) -> tuple[int, int]:
    """Return how many runs may start in how many milliseconds."""
    try:
        return rate.parse(text)
    except ValueError as error:
        raise FieldError(str(error)) from None


def weight(value: Any) -> float:
    """Return the weight of a share."""
    if type(value) not in (int, float):
        raise FieldError(f"expected a weight such as 2 or 0.5, got {field.kind(value)}")
    if not 0.1 <= value <= 1000:  # noqa: PLR2004 - as the schema says
        raise FieldError(f"{value} is out of range", "write a weight from 0.1 to 1000")
    return float(value)


def entries(value: Any) -> int:
    """Return how many runs of each job the ledger keeps."""
    return _number(value, "runs", 1_000)


def days(value: Any) -> int:
    """Return for how many days the ledger keeps a run."""
    return _number(value, "days", 3_650)


def catch_up(value: Any) -> int:
    """Return how many occurrences of a job may wait, or are made up for."""
    return _number(value, "occurrences", 10_000)


def failures(value: Any) -> int:
    """Return after how many runs in a row that died a job rests."""
    return _number(value, "runs", 1_000)


def number(value: Any) -> int:
    """Return a limit that is a number of runs."""
    return _number(value, "runs", 1_000_000)


def _number(value: Any, of: str, most: int) -> int:
    if type(value) is not int:
        raise FieldError(f"expected a number of {of}, got {field.kind(value)}")
    if not 1 <= value <= most:
        raise FieldError(f"{value} is out of range", f"write a number of {of} from 1 to {most}")
    return value
