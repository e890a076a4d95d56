"""What the fields of a configuration may say: one check per field, text in, meaning out.

Every check raises `FieldError`. Checks that cost something are cached, as thousands of tenants
write the same few durations, zones and cron expressions.
"""

import difflib
import re
import zoneinfo
from collections.abc import Callable, Collection
from functools import cache, lru_cache
from typing import Any, Final, get_args

import msgspec

from rota.common import duration, names
from rota.common.job import Blackout, Fold, Gap, Misfire, Overlap, Priority
from rota.scheduler import between as windows
from rota.scheduler import blackout as blackouts
from rota.scheduler import once, schedule
from rota.scheduler import zone as zones
from rota.scheduler.config.diagnostic import quoted

MIN_PERIOD_MS: Final = 100  # of `every` and `after`
MAX_ARGS_BYTES: Final = 60 * 1024  # of a job's args as a message carries them, in msgpack
MAX_ARGS_DEPTH: Final = 32  # mappings and lists within each other, args itself included
_LONGEST_DURATION = 64  # characters
_LONGEST_REASON = 200  # characters
_NOTHING = re.compile("0{1,9}(ms|s|m|h|d)")
_GAPS: Final[dict[str, Gap]] = {"run_after": "run_after", "skip": "skip"}
_FOLDS: Final[dict[str, Fold]] = {"first": "first", "second": "second", "both": "both"}
_SEARCHED = 500  # names among which the closest is sought
_CACHED = 4096  # different texts that are remembered per check


class FieldError(ValueError):
    """A field says what it may not; `advice` tells what to write instead."""

    def __init__(self, message: str, advice: str = "") -> None:
        super().__init__(message)
        self.advice = advice


@lru_cache(_CACHED)
def did_you_mean(wrong: str, known: Collection[str]) -> str:
    """Return a question that names the one of `known` that is closest, or nothing."""
    close = closest(wrong, known)
    return f"did you mean `{close}`?" if close else ""


def closest(wrong: str, known: Collection[str]) -> str:
    """Return the one of `known` that `wrong` probably means, or nothing.

    `known` is hashable; where it is very large, finding the closest would take too long.
    """
    if len(known) > _SEARCHED:
        return ""
    return next(iter(difflib.get_close_matches(wrong[:80], sorted(known), n=1)), "")


def name(text: str) -> str:
    """Return `text` when it may name a tenant, group, job or template."""
    if not names.is_name(text):
        raise FieldError(f"{quoted(text)} is no name", NAME_ADVICE)
    return text


def handler(text: str) -> str:
    """Return `text` when it may name a handler."""
    if not names.is_handler(text):
        raise FieldError(f"{quoted(text)} is no handler's name", HANDLER_ADVICE)
    return text


@lru_cache(_CACHED)
def length(text: str) -> int:
    """Return the milliseconds of a duration."""
    if len(text) > _LONGEST_DURATION:
        raise FieldError(f"{quoted(text)} is too long for a duration")
    try:
        return duration.parse(text)
    except ValueError as error:
        raise FieldError(str(error)) from None


@lru_cache(_CACHED)
def period(text: str) -> int:
    """Return the milliseconds of a period, at least 100."""
    ms = length(text)
    if ms < MIN_PERIOD_MS:
        raise FieldError(f"{quoted(text)} is too short", f"write at least {MIN_PERIOD_MS}ms")
    return ms


def cron(text: str) -> str:
    """Return a cron expression when it can come true."""
    if wrong := _cron_error(text):
        raise FieldError(wrong)
    return text


@lru_cache(_CACHED)
def share(text: str) -> int:
    """Return the milliseconds of a phase or a jitter; these may be nothing."""
    return 0 if _NOTHING.fullmatch(text) else length(text)


@lru_cache(_CACHED)
def moment(text: str) -> str:
    """Return a date and time on the local clock."""
    return _checked(once.read, text)


@lru_cache(_CACHED)
def window(text: str) -> str:
    """Return a daily window."""
    return _checked(windows.read, text)


def gap(text: str) -> Gap:
    """Return what becomes of local times that the clock skips."""
    if text in _GAPS:
        return _GAPS[text]
    raise FieldError(f"unknown gap {quoted(text)}", "write `run_after` or `skip`")


def fold(text: str) -> Fold:
    """Return which of the local times that the clock repeats count."""
    if text in _FOLDS:
        return _FOLDS[text]
    raise FieldError(f"unknown fold {quoted(text)}", "write `first`, `second` or `both`")


def reason(text: str) -> str:
    """Return why there is a blackout."""
    if len(text) > _LONGEST_REASON:
        raise FieldError(f"a reason has at most {_LONGEST_REASON} characters", "say it shorter")
    return text


@lru_cache(_CACHED)
def stretch(start: str, end: str) -> tuple[str, str]:
    """Return start and end of a blackout, in that order."""
    if once.read(moment(start)) >= once.read(moment(end)):
        raise FieldError(f"`to`, {end}, is not later than `from`, {start}", "swap or mend them")
    return start, end


@lru_cache(_CACHED)
def some_time(given: tuple[Blackout, ...]) -> tuple[Blackout, ...]:
    """Return blackouts that leave time to run in."""
    if not blackouts.leave_time(given):
        raise FieldError(
            "with these blackouts a job could never run",
            "leave some time open; to keep a job from running leave it out",
        )
    return given


def zone(text: str) -> str:
    """Return the name of a time zone when this machine or the package tzdata has it."""
    if advice := _zone_advice(text):
        raise FieldError(f"unknown time zone {quoted(text)}", advice)
    return text


def overlap(text: str) -> Overlap:
    """Return what to do when runs of a job would overlap."""
    return _one_of(get_args(Overlap), "overlap", text)  # type: ignore[return-value]  # one of them


def misfire(text: str) -> Misfire:
    """Return what to do with occurrences that nobody sent when they were due."""
    return _one_of(get_args(Misfire), "misfire", text)  # type: ignore[return-value]  # one of them


def priority(text: str) -> Priority:
    """Return which of a tenant's own queued runs go first."""
    return _one_of(get_args(Priority), "priority", text)  # type: ignore[return-value]  # one of them


def attempts(value: Any) -> int:
    """Return a number of attempts."""
    if type(value) is not int:
        raise FieldError(f"expected a number of attempts from 1 to 100, got {kind(value)}")
    if not 1 <= value <= 100:  # noqa: PLR2004 - as the schema says
        raise FieldError(f"{value} is out of range", "write a number of attempts from 1 to 100")
    return value


def args(value: Any) -> dict[str, Any]:
    """Return a job's args when a message can carry them."""
    if type(value) is not dict:
        raise FieldError(f"expected a mapping of the handler's parameters, got {kind(value)}")
    if value and _depth(value) > MAX_ARGS_DEPTH:
        raise FieldError(f"args are nested deeper than {MAX_ARGS_DEPTH} levels", LARGE_ADVICE)
    if value and (size := len(msgspec.msgpack.encode(value))) > MAX_ARGS_BYTES:
        limit = f"the limit is {MAX_ARGS_BYTES // 1024} KiB"
        raise FieldError(f"args take {size:,} bytes; {limit}", LARGE_ADVICE)
    return value


def kind(value: Any) -> str:
    """Return how a message calls a value of this type, with the value where it is short."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"the number {value}"
    if isinstance(value, str):
        return "text"
    return "a mapping" if isinstance(value, dict) else "a list"


@lru_cache(_CACHED)
def _cron_error(text: str) -> str:
    """Return what is wrong with a cron expression: finding that it never fires takes a while."""
    try:
        schedule.check_cron(text)
    except ValueError as error:
        return str(error)
    return ""


@lru_cache(_CACHED)
def _zone_advice(text: str) -> str:
    """Return nothing for a time zone that exists, else what to write instead."""
    try:
        zones.load(text)
    except ValueError:
        return _near_zone(text) or ZONE_ADVICE
    return ""


def _near_zone(text: str) -> str:
    """Suggest a zone by its whole name or by its city alone, whatever the case."""
    close = difflib.get_close_matches(text[:80].lower().replace(" ", "_"), _spelled(), n=1)
    return f"did you mean `{_spelled()[close[0]]}`?" if close else ""


@cache
def _spelled() -> dict[str, str]:
    """Return every zone by its name and by its city alone, in small letters."""
    known = sorted(zoneinfo.available_timezones(), reverse=True)
    cities = {name.rpartition("/")[2].lower(): name for name in known}
    return cities | {name.lower(): name for name in known}


def choice(known: tuple[str, ...]) -> str:
    """Return how a message tells what may be written."""
    named = [f"`{each}`" for each in known]
    return f"{', '.join(named[:-1])} or {named[-1]}"


def _one_of(known: tuple[str, ...], name: str, text: str) -> str:
    if text not in known:
        raise FieldError(f"unknown {name} {quoted(text)}", f"write {choice(known)}")
    return text


def _checked(read: Callable[[str], object], text: str) -> str:
    try:
        read(text)
    except ValueError as error:
        raise FieldError(str(error)) from None
    return text


def _depth(value: Any) -> int:
    """Return how deep mappings and lists lie within each other; the document bounds it."""
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list):
        return 0
    return 1 + max(map(_depth, value), default=0)


NAME_ADVICE = (
    "a name has 1 to 64 letters, digits, `.`, `_` and `-`, and starts with a letter or digit"
)
HANDLER_ADVICE = "write the name that a worker registered, such as orders.import"
ZONE_ADVICE = "write the name of an IANA time zone, such as UTC or Europe/Berlin"
LARGE_ADVICE = "keep large data elsewhere and name it in args"
