"""Carries out planners: takes specs from the generator, packs them, sends tasks to the store."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from concurrent.futures import Executor
from contextlib import aclosing
from itertools import islice
from typing import Any

import msgspec

from rota.common import service
from rota.common.clock import Clock
from rota.common.errors import StoreError, StoreUnavailable
from rota.common.job import Tasks
from rota.common.message import JobRequest, Task
from rota.common.planning import Planned, Planning
from rota.common.run import Claimed
from rota.common.store import Store
from rota.worker.context import Context
from rota.worker.failure import Fatal
from rota.worker.packer import Packer
from rota.worker.registry import Handler
from rota.worker.spec import BadSpec, TaskSpec

_BATCH = 500  # tasks in one script, to keep it short
_SPECS = 1_000  # that are taken before others get their turn
_SOON = 0.5  # seconds until tasks are sent that may begin while planning goes on
_AWAY = 0.5  # seconds between tries while the store is away or full
_CLOSED_BY_MEMORY = "maxmemory"


class PlanLost(Exception):
    """The store has lost a part of the plan: it is to be made anew."""


class Planner:
    """The planners of one worker."""

    def __init__(self, store: Store, threads: Executor, clock: Clock) -> None:
        self._store = store
        self._threads = threads
        self._clock = clock

    async def plan(
        self,
        run: Claimed,
        request: JobRequest,
        handler: Handler,
        ctx: Context,
        args: dict[str, Any],
    ) -> int:
        """Return how many tasks the handler has planned, all of which the store has.

        Raises what the handler raises, `BadSpec`, or `PlanLost`.
        """
        if request.on_failure and request.phase == len(request.phases) + 2:
            raise Fatal("a handler for failures can't plan tasks")
        sheet = _Sheet(Planning(self._store, run, request, handler.tasks), self._clock)
        packer = Packer(_sized(request.tasks, await sheet.begin()))
        async with aclosing(self._chunks(handler, ctx, args)) as chunks:
            async for specs in chunks:
                for spec in specs:
                    sheet.put(packer.add(_checked(spec)))
                await sheet.send(hurry=request.tasks.early)
        sheet.put(packer.rest())
        return await sheet.finish()

    async def _chunks(
        self, handler: Handler, ctx: Context, args: dict[str, Any]
    ) -> AsyncGenerator[list[Any], None]:
        """Yield specs, many at a time; those of a sync generator are made in a thread."""
        specs = handler.function(ctx, **args)
        if handler.isolation == "loop":
            async with aclosing(self._gathered(specs)) as chunks:
                async for chunk in chunks:
                    yield chunk
            return
        loop = asyncio.get_running_loop()
        while chunk := await loop.run_in_executor(self._threads, _next, specs, ctx):
            yield chunk

    async def _gathered(self, specs: AsyncGenerator[Any, None]) -> AsyncGenerator[list[Any], None]:
        chunk: list[Any] = []
        since = self._clock.monotonic()
        async with aclosing(specs):
            async for spec in specs:
                chunk.append(spec)
                if len(chunk) >= _SPECS or self._clock.monotonic() - since > _SOON:
                    yield chunk
                    await service.give_way()
                    chunk, since = [], self._clock.monotonic()
        yield chunk


class _Sheet:
    """The tasks of one plan on their way to the store."""

    def __init__(self, planning: Planning, clock: Clock) -> None:
        self._planning = planning
        self._clock = clock
        self._ready: list[Task] = []
        self._there = 0  # tasks that the store had from the start
        self._made = 0  # tasks that were put here
        self._sent = 0  # tasks that the store has
        self._sent_at = clock.monotonic()

    async def begin(self) -> float:
        """Begin the plan, behind what an earlier attempt has left; return the tasks' pace."""
        planned = await self._add([])
        self._sent = self._there = planned.tasks
        return planned.pace

    def put(self, tasks: list[Task]) -> None:
        """Take tasks, without those that the store had from the start."""
        self._ready += tasks[max(0, self._there - self._made) :]
        self._made += len(tasks)

    async def send(self, *, hurry: bool) -> None:
        """Send full batches; what there is if we `hurry` and have sent nothing for a while."""
        while len(self._ready) >= _BATCH:
            await self._batch()
        if hurry and self._ready and self._clock.monotonic() - self._sent_at > _SOON:
            await self._batch()

    async def finish(self) -> int:
        """Send the rest; return how many tasks there are."""
        while self._ready:
            await self._batch()
        if self._made != self._sent:
            raise PlanLost(
                f"an earlier attempt planned {self._sent:,} tasks, this one {self._made:,}: with"
                " `start_while_planning` a planner must yield the same specs again"
            )
        return self._sent

    async def _batch(self) -> None:
        batch, self._ready = self._ready[:_BATCH], self._ready[_BATCH:]
        there = (await self._add(batch)).tasks
        if there != self._sent + len(batch):
            raise PlanLost(f"the store has {there:,} of {self._sent + len(batch):,} tasks")
        self._sent, self._sent_at = there, self._clock.monotonic()

    async def _add(self, batch: list[Task]) -> Planned:
        """Add tasks; where the store is away, full or closed by its gate, as soon as it can be."""
        while True:
            wait = _AWAY
            try:
                planned = await self._planning.add(self._sent, batch)
                if planned.tasks < 0:
                    raise PlanLost("the run was taken back")
                if not planned.wait_s:
                    return planned
                wait = planned.wait_s
            except StoreError as error:
                if not isinstance(error, StoreUnavailable) and _CLOSED_BY_MEMORY not in str(error):
                    raise
            await service.pause(wait)


def _sized(rules: Tasks, pace: float) -> Tasks:
    """Return rules with the size that takes the time which tasks should take, if it was learnt.

    No spec is too large for a size that nobody wrote.
    """
    if not rules.time_ms or not pace:
        return rules
    return msgspec.structs.replace(rules, max_size=rules.time_ms / pace, alone=True)


def _checked(spec: object) -> TaskSpec:
    if not isinstance(spec, TaskSpec):
        raise BadSpec(f"a planner yields TaskSpec, not {type(spec).__name__}")
    return spec


def _next(specs: Iterator[Any], ctx: Context) -> list[Any]:
    ctx.check_cancelled()
    return list(islice(specs, _SPECS))
