"""Calls handlers by name, for coroutines."""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, TypeVar, cast

import msgspec
import structlog
from structlog.typing import FilteringBoundLogger

from rota.client.contract import Contract
from rota.client.desk import Desk
from rota.client.directory import Directory
from rota.client.errors import CallTimeout
from rota.client.order import order
from rota.common import duration, names, settings
from rota.common.calling import Calling, CallRun
from rota.common.clock import Clock, SystemClock
from rota.common.errors import NotFound, StoreError, UsageError
from rota.common.job import TIMEOUT_MS, Priority
from rota.common.link import Link
from rota.common.store import Store

TIMEOUT = 30.0  # seconds that a caller waits unless it says otherwise
KEEP_MS = 300_000  # how long a reply is kept for a caller that comes back under its key
_KEEP_BRIEFLY_MS = 60_000  # and any end: who was cut off asks for it, nobody is accepted twice
_SHORTEST, _LONGEST = 0.001, 30 * 86_400  # seconds that a call may be given
_GLANCE = 0.5  # seconds that a look at what the store knows may take
_T = TypeVar("_T")
Span = float | str  # seconds, or as `30s`


class Client:
    """Calls handlers that workers serve. It belongs to the event loop that uses it first.

    async with Client("redis://...") as client:
        counts = await client.call("orders.import", tenant="acme", source="eu")

    `url` is that of the environment if it is not given; `group` the group of all tenants, if they
    have only one. Any number of calls may be under way.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        group: str | None = None,
        clock: Clock | None = None,
        log: FilteringBoundLogger | None = None,
    ) -> None:
        known = settings.read()
        self._link = Link(url or known.redis_url, gate_ms=known.gate_ms)
        self._store = Store(self._link)
        self._calling = Calling(self._store)
        self._clock = clock or SystemClock()
        self._directory = Directory(self._link, self._clock)
        self._group = group
        self._log = log or _quiet()
        self._desks: dict[str, Desk] = {}
        self._closed = False

    async def __aenter__(self) -> "Client":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every connection; await your calls before. Harmless when repeated."""
        self._closed = True
        for desk in self._desks.values():
            await desk.stop()
        await self._link.close()

    async def ping(self) -> None:
        """Return if the store answers; raises `StoreUnavailable` if it does not."""
        await self._store.ping()

    async def call(
        self,
        handler: str,
        /,
        *,
        tenant: str,
        timeout: Span = TIMEOUT,
        attempts: int = 1,
        priority: Priority = "normal",
        group: str | None = None,
        key: str | None = None,
        args: Mapping[str, Any] | None = None,
        returns: Any = Any,
        **named: Any,
    ) -> Any:
        """Return what `handler` returns for these arguments, converted to the type `returns`.

        It has `timeout`, seconds or a text such as `30s`, queueing and further attempts included.
        One that fails is tried again only if there are more `attempts`. Calls of a handler under
        one `key` are one: who comes back after a crash gets the reply to the first, for five
        minutes. Arguments that are named as a parameter go into `args`. Raises `CallFailed` if
        the handler fails; `CallTimeout`, and ends the call if nobody else waits for it; `CallLost`;
        `Refused` if the tenant's backlog is full; `NotFound` if its group isn't known; `UsageError`
        for what can't be sent.
        """
        ms = _milliseconds(timeout)
        run = order(
            handler,
            tenant=tenant,
            name=self._mark(key),
            args={**(args or {}), **named},
            run_ms=ms,
            attempts=attempts,
            in_time=True,
            now_ms=self._clock.now_ms(),
        )
        keep_ms = max(_KEEP_BRIEFLY_MS if key is None else KEEP_MS, ms)
        run = run._replace(priority=priority, timeout_ms=ms, keep_ms=keep_ms)
        desk = await self._desk(tenant, group)
        return decode(await self._ask(desk, run, ms), returns)

    async def enqueue(
        self,
        handler: str,
        /,
        *,
        tenant: str,
        attempts: int = 3,
        run_timeout: Span = TIMEOUT_MS / 1000,
        expires: Span | None = None,
        priority: Priority = "normal",
        group: str | None = None,
        key: str | None = None,
        args: Mapping[str, Any] | None = None,
        **named: Any,
    ) -> str:
        """Have `handler` called; return the call's job_id as soon as the store has it.

        An attempt may take `run_timeout` seconds. A call that has not begun in `expires` seconds
        never does. One that fails for good is a dead letter. `wait` waits for it. Raises as `call`.
        """
        run = order(
            handler,
            tenant=tenant,
            name=self._mark(key),
            args={**(args or {}), **named},
            run_ms=_milliseconds(run_timeout),
            attempts=attempts,
            in_time=False,
            now_ms=self._clock.now_ms(),
        )
        within = _milliseconds(expires) if expires is not None else 0
        run = run._replace(priority=priority, timeout_ms=within, keep_ms=_KEEP_BRIEFLY_MS)
        desk = await self._desk(tenant, group)
        await desk.leave(run, TIMEOUT)
        return run.job_id

    async def wait(
        self,
        job_id: str,
        *,
        timeout: Span = TIMEOUT,
        group: str | None = None,
        returns: Any = Any,
    ) -> Any:
        """Return the result of a call that is under way, or over for less than it is kept.

        For the `job_id` of `enqueue`, and of a call whose process has died. Raises as `call` does,
        but ends nothing; `NotFound` if there is no such call, or no longer.
        """
        if not names.is_call(job_id):
            raise UsageError(f"{job_id!r} is not the job_id of a call")
        tenant = job_id.partition("/")[0]
        seconds = _milliseconds(timeout) / 1000
        desk = await self._desk(tenant, group)
        return decode(await desk.wait(job_id, seconds), returns)

    def service(
        self,
        contract: Callable[..., _T],  # `type` would refuse a Protocol
        *,
        tenant: str,
        name: str | None = None,
        timeout: Span = TIMEOUT,
        attempts: int = 1,
        group: str | None = None,
    ) -> _T:
        """Return an object with the methods of `contract`, each of which calls a handler.

        The contract is a class or Protocol of async methods with types for all parameters and
        results. Method `import_orders` of `Orders` calls `orders.import_orders`; `name` stands for
        `orders`. Raises `UsageError` that names what is wrong with the contract.
        """

        async def call(handler: str, args: dict[str, Any], returns: Any) -> Any:
            return await self.call(
                handler,
                tenant=tenant,
                timeout=timeout,
                attempts=attempts,
                group=group,
                args=args,
                returns=returns,
            )

        return cast("_T", Contract(contract, name).proxy(call))

    async def _desk(self, tenant: str, group: str | None) -> Desk:
        if self._closed:
            raise UsageError("the client is closed")
        group = group or self._group or await self._directory.group_of(tenant)
        if not names.is_name(group):
            raise UsageError(f"group {group!r}: it must match {names.PATTERN}")
        if group not in self._desks and await self._is_unknown(group):
            raise NotFound(f"group {group}: no configuration has it, and no worker has come to it")
        if group not in self._desks:
            self._desks[group] = Desk(
                group, calling=self._calling, keep_ms=KEEP_MS, clock=self._clock, log=self._log
            )
            await self._desks[group].start()
        return self._desks[group]

    async def _ask(self, desk: Desk, run: CallRun, ms: int) -> bytes:
        try:
            return await desk.ask(run, ms / 1000)
        except CallTimeout as error:
            if await self._is_unserved(desk.group, run.handler):
                raise CallTimeout(f"{error}; no live worker serves {run.handler}") from None
            raise

    async def _is_unknown(self, group: str) -> bool:
        """Tell whether there is no such group; who can't ask finds out when he calls."""
        with contextlib.suppress(StoreError, TimeoutError):
            async with asyncio.timeout(_GLANCE):
                return not await self._directory.is_known(group)
        return False

    async def _is_unserved(self, group: str, handler: str) -> bool:
        with contextlib.suppress(StoreError, TimeoutError):
            async with asyncio.timeout(_GLANCE):
                return not await self._directory.is_served(group, handler)
        return False

    def _mark(self, key: str | None) -> str:
        """Return the name of a call: its own or, if there is a key, that of all with it."""
        if key is None:
            return f"call-{self._clock.now_ms():012x}{secrets.token_hex(6)}"
        if not names.is_name(key):
            raise UsageError(f"key {key!r}: it must match {names.PATTERN}")
        return f"key-{key}"


def decode(result: bytes, returns: Any) -> Any:
    """Return a handler's result as the type `returns`; raises `UsageError` if it isn't one."""
    try:
        return msgspec.msgpack.decode(result or b"\xc0", type=returns)
    except (msgspec.DecodeError, RecursionError) as error:
        raise UsageError(f"the handler has returned something else: {error}") from None


def _milliseconds(span: Span) -> int:
    try:
        seconds = duration.parse(span) / 1000 if isinstance(span, str) else float(span)
    except (ValueError, TypeError) as error:
        raise UsageError(f"{error}" if isinstance(span, str) else f"{span!r}: no seconds") from None
    if not _SHORTEST <= seconds <= _LONGEST:
        raise UsageError(f"{seconds:g} s: write from {_SHORTEST} to {_LONGEST:,} seconds")
    return int(seconds * 1000)


def _quiet() -> FilteringBoundLogger:
    """Return a logger that says what the caller's process has asked to hear from `rota.client`."""
    wrapped = structlog.wrap_logger(
        logging.getLogger("rota.client"),
        processors=[structlog.stdlib.render_to_log_kwargs],
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    return cast("FilteringBoundLogger", wrapped)
