"""The places for runs: so many are carried out at a time, in the order in which they came."""

import asyncio
import contextvars
import math
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from structlog.typing import FilteringBoundLogger

from rota.common.service import give_way
from rota.worker import steps
from rota.worker.held import HeldRun

_T = TypeVar("_T")
_STRETCH = 64  # runs that end at once, one after the other, until others have their turn


class Lanes(Generic[_T]):
    """Tasks that carry out runs, each in a context of its own.

    A task takes one run after the other, as long as they end without waiting for anything: making
    one takes longer than such a run. A run that waits keeps the task for itself, which ends with
    it, and another one takes what comes next. So a run that can be cancelled never shares a task.
    """

    def __init__(
        self,
        places: int,
        *,
        attempt: Callable[[HeldRun], Coroutine[Any, Any, _T]],
        over: Callable[[HeldRun, _T | None], None],
        log: FilteringBoundLogger,
    ) -> None:
        self._places = places
        self._attempt = attempt
        self._over = over  # called with what the attempt returned; None if it raised
        self._log = log
        self._waiting: deque[HeldRun] = deque()
        self._busy = 0  # runs that keep a task for themselves
        self._open: asyncio.Task[None] | None = None  # the task that takes what waits
        self._clean = contextvars.copy_context()  # not one in which a run has set something

    @property
    def waiting(self) -> int:
        """Return how many runs have not begun."""
        return len(self._waiting)

    def add(self, held: HeldRun) -> None:
        """Carry out a run as soon as there is a place."""
        self._waiting.append(held)
        self._go_on()

    def withdraw(self, before: float = math.inf) -> list[HeldRun]:
        """Return the runs that have not begun, and now never will.

        None, unless one of them came before this monotonic time.
        """
        if not self._waiting or self._waiting[0].received_at >= before:
            return []
        left = list(self._waiting)
        self._waiting.clear()
        return left

    def drop(self, held: HeldRun) -> bool:
        """Return whether the run has not begun; then it never will."""
        if held.task is not None or held not in self._waiting:
            return False
        self._waiting.remove(held)
        return True

    def _go_on(self) -> None:
        if self._open is None and self._waiting and self._busy < self._places:
            context = self._clean.copy()
            self._open = asyncio.create_task(self._take(), name="lane", context=context)

    async def _take(self) -> None:
        lane, taken = asyncio.current_task(), 0
        try:
            # A handler may have cancelled the task in which it was called: not for the next one.
            while self._open is lane and self._waiting and lane and not lane.cancelling():
                await self._carry_out(self._waiting.popleft(), lane)
                taken += 1
                if taken % _STRETCH == 0 and self._open is lane:
                    await give_way()
        finally:
            if self._open is lane:
                self._open = None
            self._go_on()

    async def _carry_out(self, held: HeldRun, lane: "asyncio.Task[None]") -> None:
        held.task = lane
        outcome = None
        try:
            outcome = await self._attempted(held, lane)
        except asyncio.CancelledError:
            pass
        except Exception as error:  # noqa: BLE001 - a fault of ours costs one run, not the worker
            self._log.error("attempt_failed", job_id=held.run.job_id, exc_info=error)
        finally:
            if self._open is lane:
                held.task = None  # the task goes on with others: who comes late must not cancel it
            else:
                self._busy -= 1
            self._over(held, outcome)

    async def _attempted(self, held: HeldRun, lane: "asyncio.Task[None]") -> _T:
        context = self._clean.copy()
        attempt = self._attempt(held)
        try:
            waits_for = context.run(attempt.send, None)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        lane.set_name(held.run.job_id)
        self._open = None
        self._busy += 1
        self._go_on()
        return await steps.rest(attempt, waits_for, context.run)
