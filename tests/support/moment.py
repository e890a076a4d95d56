"""Moments in tests: written and read as people do, reckoned as the code does."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from rota.common import clock

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR


def ms(text: str) -> int:
    """Return the milliseconds since 1970 of an ISO time; UTC, unless it names an offset."""
    moment = datetime.fromisoformat(text)
    return clock.epoch_ms(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def local(at: int, zone: str) -> datetime:
    """Return what the clocks in `zone` show."""
    return clock.utc(at).astimezone(ZoneInfo(zone))


def text(at: int, zone: str = "UTC") -> str:
    """Return what the clocks in `zone` show, as `2026-03-29T03:00+02:00`."""
    return local(at, zone).isoformat(timespec="minutes")
