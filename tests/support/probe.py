"""Waits, on the event loop, for something that services do in their own time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from rota.common.clock import SystemClock

_T = TypeVar("_T")


async def until(condition: Callable[[], _T], within: float = 10.0) -> _T:
    """Return what `condition` returns as soon as that is true; fail after `within` seconds."""

    async def ask() -> _T:
        return condition()

    return await found(ask, within)


async def found(ask: Callable[[], Awaitable[_T]], within: float = 10.0) -> _T:
    """Return what `ask` is answered as soon as that is true; fail after `within` seconds."""
    clock = SystemClock()
    end = clock.monotonic() + within
    while not (answer := await ask()):
        assert clock.monotonic() < end, f"not so within {within} s"
        await asyncio.sleep(0.005)
    return answer
