"""What a caller asks for: checked, and in bytes."""

from collections.abc import Mapping
from typing import Any

import msgspec

from rota.common import message, names
from rota.common.calling import CallRun
from rota.common.errors import UsageError
from rota.common.job import Retry

_BACKOFF_MS = 1_000  # before the second attempt: somebody waits


def order(
    handler: str,
    *,
    tenant: str,
    name: str,
    args: Mapping[str, Any],
    run_ms: int,
    attempts: int,
    in_time: bool,
    now_ms: int,
) -> CallRun:
    """Return the call `name` of `handler`, kept for no time; an attempt may take `run_ms`.

    `in_time`: no attempt may outlast the time in which the call must begin. Raises
    `UsageError` that says what can't be sent.
    """
    if not names.is_handler(handler):
        raise UsageError(f"handler {handler!r}: it must match {names.HANDLER_PATTERN}")
    if not names.is_name(tenant):
        raise UsageError(f"tenant {tenant!r}: it must match {names.PATTERN}")
    if attempts < 1:
        raise UsageError(f"attempts: {attempts} is too few; the least is 1")
    job = names.call_job(handler)
    request = message.JobRequest(
        tenant=tenant,
        job=job,
        handler=handler,
        args=msgspec.Raw(_encoded(handler, args)),
        timeout_ms=run_ms,
        retry=Retry(attempts=attempts, backoff_ms=_BACKOFF_MS),
        beside=True,
        in_time=in_time,
        called_ms=now_ms,
    )
    body = message.encode(request)
    return CallRun(f"{tenant}/{job}:{name}", tenant, job, handler, attempts, 0, body)


def _encoded(handler: str, args: Mapping[str, Any]) -> bytes:
    try:
        packed = message.encode(args)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise UsageError(f"arguments of {handler} can't be sent: {error}") from None
    if len(packed) > message.MAX_REQUEST_BYTES:
        raise UsageError(
            f"arguments of {handler} take {len(packed):,} bytes, more than "
            f"{message.MAX_REQUEST_BYTES:,}; store them elsewhere and send where they are"
        )
    return packed
