"""Planners and phases with real workers: each task once, whatever happens."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from rota.common import keys, message
from rota.common.embedded import EmbeddedStore
from rota.common.job import Phase, Retry, Tasks
from rota.common.link import Link
from rota.common.message import Completion, JobRequest
from rota.common.run import Occurrence
from rota.common.store import Store
from rota.worker import Context, Fatal, Jobs, TaskSpec
from tests.support import builders, probe, workers
from tests.support.builders import GROUP


class Shop:
    """An app whose planner yields `specs`, and that notes what its handlers were given."""

    def __init__(self, specs: list[TaskSpec]) -> None:
        self.jobs = Jobs()
        self.done: Counter[int] = Counter()
        self.parts: list[list[dict[str, Any]]] = []
        self.called: list[str] = []
        self.fail: set[int] = set()
        self.jobs.planner("shop.plan", tasks="shop.part")(self._planner(specs))
        self.jobs.planner("shop.plan-sync", tasks="shop.part")(self._sync(specs))
        self.jobs.handler("shop.part")(self._part)
        self.jobs.handler("shop.post")(self._post)
        self.jobs.handler("shop.mend")(self._mend)

    def _planner(self, specs: list[TaskSpec]) -> Any:
        async def plan(ctx: Context) -> AsyncIterator[TaskSpec]:
            for spec in specs:
                yield spec

        return plan

    def _sync(self, specs: list[TaskSpec]) -> Any:
        def plan(ctx: Context) -> Iterator[TaskSpec]:
            yield from specs

        return plan

    async def _part(self, ctx: Context, parts: list[dict[str, Any]]) -> None:
        assert ctx.task is not None
        self.parts.append(parts)
        for part in parts:
            if part["n"] in self.fail:
                raise Fatal("it breaks")
            self.done[part["n"]] += 1
        if "shop.part" not in self.called:
            self.called.append("shop.part")

    async def _post(self, ctx: Context) -> None:
        self.called.append(f"shop.post {ctx.phase}")

    async def _mend(self, ctx: Context) -> None:
        assert ctx.failure is not None
        for task in ctx.failure.tasks:
            self.called.append(f"shop.mend {task.key} {task.kind} {task.message}")


def specs(count: int, size: float = 1) -> list[TaskSpec]:
    """Return specs of one key that know their numbers."""
    return [TaskSpec(key="k", size=size, args={"n": n}) for n in range(count)]


def run(handler: str = "shop.plan", **over: Any) -> Occurrence:
    """Return a run of a job with these fields in its request."""
    retry = Retry(attempts=2, backoff_ms=10, max_backoff_ms=10)
    fields: dict[str, Any] = {"tenant": "acme", "job": "import", "handler": handler, "retry": retry}
    request = JobRequest(**(fields | over))
    return builders.occurrence(handler=handler, body=message.encode(request), attempts=2)


async def end(store: Store) -> Completion:
    """Return how the run ended."""

    async def over() -> bool:
        told = await workers.completions(store)
        return any(each.outcome != "retrying" for each in told)

    await probe.found(over, 10.0)
    return (await workers.completions(store))[-1]


@pytest.mark.parametrize("handler", ["shop.plan", "shop.plan-sync"])
async def test_each_task_once(url: str, store: Store, handler: str) -> None:
    """What a planner yields is executed by any worker, each piece once, and none is left."""
    shop = Shop(specs(1_200))
    async with workers.working(url, shop.jobs), workers.working(url, shop.jobs):
        await builders.enqueue(store, run(handler))
        told = await end(store)

    assert "succeeded" == told.outcome
    assert dict.fromkeys(range(1_200), 1) == shop.done


async def test_pieces_are_merged(url: str, store: Store) -> None:
    """A task has as many pieces as fit into its size."""
    shop = Shop(specs(100))
    async with workers.working(url, shop.jobs):
        await builders.enqueue(store, run(tasks=Tasks(max_size=30)))
        await end(store)

    assert [10, 30, 30, 30] == sorted(len(parts) for parts in shop.parts)
    assert dict.fromkeys(range(100), 1) == shop.done


async def test_sizes_are_learnt(url: str, store: Store) -> None:
    """Where tasks should take so long their size follows from what earlier ones took.

    No spec is too large for such a size.
    """
    shop, slot = Shop(specs(100)), keys.slot(GROUP, "acme/import")
    await store.link.command("HSET", slot, "pace 1", "50")
    async with workers.working(url, shop.jobs):
        await builders.enqueue(store, run(tasks=Tasks(max_size=30, time_ms=1_000)))
        await end(store)
        learnt = float(await store.link.command("HGET", slot, "pace 1"))
    few = [len(parts) for parts in shop.parts]

    assert [20] * 5 == few
    assert 25 <= learnt < 50


async def test_specs_above_a_size_that_is_learnt(url: str, store: Store) -> None:
    """Nobody wrote that size, so no spec is refused for it."""
    shop = Shop(specs(3, size=50))
    await store.link.command("HSET", keys.slot(GROUP, "acme/import"), "pace 1", "50")
    async with workers.working(url, shop.jobs):
        await builders.enqueue(store, run(tasks=Tasks(max_size=100, time_ms=1_000)))
        told = await end(store)

    assert "succeeded" == told.outcome
    assert [1, 1, 1] == [len(parts) for parts in shop.parts]


async def test_bad_spec(url: str, store: Store) -> None:
    """A planner whose spec is too large to be a task fails at once, and says what to do."""
    shop = Shop(specs(3, size=50))
    async with workers.working(url, shop.jobs):
        await builders.enqueue(store, run(tasks=Tasks(max_size=30)))
        told = await end(store)

    assert told.error
    assert ("dead", 1, "BadSpec") == (told.outcome, told.attempt, told.error.kind)
    assert "let it offer a `split`, or set `unsplittable: alone`" in told.error.message


async def test_phases(url: str, store: Store) -> None:
    """Phases run one after the other, the next one when all tasks of the last one are done."""
    shop = Shop(specs(50))
    post = Phase(handler="shop.post")
    async with workers.working(url, shop.jobs):
        await builders.enqueue(store, run(phases=(post, Phase(handler="shop.plan"), post)))
        told = await end(store)

    assert "succeeded" == told.outcome
    assert ["shop.part", "shop.post 2", "shop.post 4"] == shop.called
    assert dict.fromkeys(range(50), 2) == shop.done


async def test_failure_handler(url: str, store: Store) -> None:
    """A dead task leads to one call of the failure handler, told of it; then the run is dead."""
    shop = Shop(specs(5))
    shop.fail = {3}
    mend = Phase(handler="shop.mend")
    async with workers.working(url, shop.jobs):
        await builders.enqueue(store, run(phases=(Phase(handler="shop.post"),), on_failure=mend))
        told = await end(store)

    assert told.error
    assert ("dead", "TasksFailed") == (told.outcome, told.error.kind)
    assert "1 of 5 tasks are dead" == told.error.message
    assert ["shop.part", "shop.mend k Fatal it breaks"] == shop.called


async def test_early_tasks(url: str, store: Store) -> None:
    """Where that is set tasks run while their planner goes on."""
    jobs, seen = Jobs(), asyncio.Event()

    @jobs.planner("shop.plan", tasks="shop.part")
    async def plan(ctx: Context) -> AsyncIterator[TaskSpec]:
        yield TaskSpec(args={"n": 1})
        for _ in range(100):
            await asyncio.wait([asyncio.ensure_future(seen.wait())], timeout=0.1)
            yield TaskSpec(args={"n": 2})
            if seen.is_set():
                return

    @jobs.handler("shop.part")
    async def part(ctx: Context, parts: list[dict[str, int]]) -> None:
        seen.set()

    async with workers.working(url, jobs):
        await builders.enqueue(store, run(tasks=Tasks(early=True)))
        told = await end(store)

    assert "succeeded" == told.outcome
    assert seen.is_set()


async def test_retry_on(url: str, store: Store) -> None:
    """An error that is not named is final; one that is, or whose base is, is tried again."""
    jobs, calls = Jobs(), Counter[str]()

    @jobs.handler("shop.post")
    async def post(ctx: Context) -> None:
        calls[ctx.job] += 1
        raise ConnectionResetError if calls[ctx.job] == 1 else KeyError("x")

    async with workers.working(url, jobs):
        with workers.sweeping(url):
            await builders.enqueue(store, run("shop.post", retry_on=("OSError",)))
            told = await end(store)

    assert told.error
    assert (2, "KeyError") == (told.attempt, told.error.kind)
    assert 0 == await store.link.command("EXISTS", keys.fan(GROUP, told.job_id))


async def test_gate_opens_while_planning(url: str) -> None:
    """A planner whose store may have lost writes waits until its gate closes, and goes on."""
    store = Store(Link(url, gate_ms=300))
    jobs, done = Jobs(), Counter[int]()

    @jobs.planner("shop.plan", tasks="shop.part")
    async def plan(ctx: Context) -> AsyncIterator[TaskSpec]:
        for number in range(2_500):
            if number == 1_200:
                await builders.change_server(store)
            yield TaskSpec(args={"n": number})

    @jobs.handler("shop.part")
    async def part(ctx: Context, parts: list[dict[str, int]]) -> None:
        done.update(each["n"] for each in parts)

    async with workers.working(url, jobs, gate_ms=300):
        await builders.enqueue(store, run())
        told = await end(store)
    opened = await store.link.command("HGET", keys.root(GROUP), "opened")
    await store.link.close()

    assert ("succeeded", 1) == (told.outcome, told.attempt)
    assert opened
    assert dict.fromkeys(range(2_500), 1) == done


async def test_store_is_full_while_planning() -> None:
    """A planner whose store is at maxmemory waits until there is room, and plans each task once."""
    jobs, done = Jobs(), Counter[int]()
    with EmbeddedStore() as server:
        store = Store(Link(server.url))

        async def refused() -> bool:
            return "errorstat_OOM" in await store.link.command("INFO", "errorstats")

        async def free() -> None:
            await probe.found(refused, 10.0)
            await store.link.command("CONFIG", "SET", "maxmemory", 0)

        @jobs.planner("shop.plan", tasks="shop.part")
        async def plan(ctx: Context) -> AsyncIterator[TaskSpec]:
            for number in range(2_500):
                if number == 1_200:
                    await store.link.command("CONFIG", "SET", "maxmemory", 1)
                yield TaskSpec(args={"n": number})

        @jobs.handler("shop.part")
        async def part(ctx: Context, parts: list[dict[str, int]]) -> None:
            done.update(each["n"] for each in parts)

        async with workers.working(server.url, jobs):
            await builders.enqueue(store, run())
            await free()
            told = await end(store)
        await store.link.close()

    assert ("succeeded", 1) == (told.outcome, told.attempt)
    assert dict.fromkeys(range(2_500), 1) == done


async def test_planner_that_yields_something_else(url: str, store: Store) -> None:
    """What is no spec makes a dead letter that says what was yielded."""
    jobs = Jobs()

    @jobs.planner("shop.plan", tasks="shop.part")
    def plan(ctx: Context) -> Iterator[Any]:
        yield {"n": 1}

    async with workers.working(url, jobs):
        await builders.enqueue(store, run())
        told = await end(store)

    assert told.error
    assert ("BadSpec", "a planner yields TaskSpec, not dict") == (
        told.error.kind,
        told.error.message,
    )


async def test_planner_for_failures(url: str, store: Store) -> None:
    """A handler for failures can't plan: the run is dead for what failed before."""
    jobs = Jobs()

    @jobs.handler("shop.post")
    async def post(ctx: Context) -> None:
        raise Fatal("no money")

    @jobs.planner("shop.plan", tasks="shop.part")
    def plan(ctx: Context) -> Iterator[Any]:
        yield TaskSpec()

    async with workers.working(url, jobs):
        await builders.enqueue(store, run("shop.post", on_failure=Phase(handler="shop.plan")))
        told = await end(store)

    assert told.error
    assert ("dead", "no money") == (told.outcome, told.error.message)
