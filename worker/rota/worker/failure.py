"""What a handler raises to say more than "it failed", and how its errors are told."""

import traceback
from types import TracebackType

from rota.common.message import Failure, JobRequest

_KIND_CHARS = 200
_MESSAGE_CHARS = 2_000
_TRACEBACK_CHARS = 4_000
_CALLERS = ("rota.", "asyncio.", "concurrent.")  # modules between the worker and its handler


class Fatal(Exception):
    """Raised by a handler: trying again would not help; the run becomes a dead letter at once."""


class Cancelled(Exception):
    """Raised by `Context.check_cancelled`: the run is to end, its result is not wanted any more."""


class TooManySkipped(Fatal):
    """More items were invalid than `Context.units` was told to bear."""


class Timeout(Exception):
    """An attempt took longer than its job allows."""


class Expired(Timeout):
    """The time of who waits for a call is over; clients know the name of this class."""


def overtime(request: JobRequest) -> Timeout:
    """Return the error of an attempt that took too long."""
    if request.in_time:
        return Expired("its caller's time was over before it had ended")
    return Timeout(f"ran longer than its timeout of {request.timeout_ms / 1000:g} s")


def failure_of(error: BaseException) -> Failure:
    """Return `error` as bounded text: the traceback begins in the handler and keeps its end."""
    try:
        text = str(error)
    except Exception as failed:  # noqa: BLE001 - a user's __str__ may raise anything
        text = f"(its text can't be had: {type(failed).__name__})"
    lines = traceback.format_exception(type(error), error, _trimmed(error.__traceback__))
    return Failure(
        kind=_sendable(type(error).__name__[:_KIND_CHARS]),
        message=_sendable(text[:_MESSAGE_CHARS]),
        traceback=_sendable("".join(lines)[-_TRACEBACK_CHARS:]),
    )


def kinds_of(error: BaseException) -> tuple[str, ...]:
    """Return the names by which `retry_on` may mean an error: of its class and those above it."""
    return tuple(kind.__name__ for kind in type(error).__mro__[:-1])


def _trimmed(trace: TracebackType | None) -> TracebackType | None:
    while trace and _module(trace).startswith(_CALLERS):
        trace = trace.tb_next
    return trace


def _module(trace: TracebackType) -> str:
    names = trace.tb_frame.f_globals
    spec = names.get("__spec__")  # knows the name of a module that was started with `-m`
    return str(spec.name if spec else names.get("__name__"))


def _sendable(text: str) -> str:
    return text.encode(errors="replace").decode()
