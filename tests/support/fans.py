"""Runs with tasks and phases, driven through the store by hand."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from rota.common import keys, message
from rota.common.job import Phase, Retry
from rota.common.message import JobRequest, Task
from rota.common.planning import Planned, Planning
from rota.common.run import Claimed, Ended, Occurrence
from rota.common.state import State
from rota.common.store import Store
from tests.support import builders
from tests.support.builders import GROUP, HANDLER, WORKER, Seeded

TASK = "orders.part"  # the handler of tasks
LATER = Phase(handler="orders.post", retry=Retry(attempts=2))
MEND = Phase(handler="orders.mend", retry=Retry(attempts=1))


def run(*, attempts: int = 3, number: int = 0, **over: Any) -> Occurrence:
    """Return a run whose request has these fields beside the usual ones."""
    request = JobRequest(
        tenant="acme", job="import", handler=HANDLER, retry=Retry(attempts=attempts), **over
    )
    body = message.encode(request)
    return builders.occurrence(due_ms=builders.DUE_MS + number, body=body, attempts=attempts)


def task(number: int, size: float = 1.0) -> Task:
    """Return a task; its argument `n` is the number that it is planned under."""
    return Task(msgspec.Raw(message.encode({"n": number})), "key", size)


def tasks(count: int) -> list[Task]:
    """Return tasks, each as large as its number."""
    return [task(n, n) for n in range(1, count + 1)]


async def begin(store: Store, **over: Any) -> Claimed:
    """Enqueue and claim a run with these fields in its request."""
    await builders.register(store, WORKER, HANDLER, TASK, LATER.handler, MEND.handler)
    await builders.enqueue(store, run(**over))
    return (await builders.claim(store)).runs[0]


def planning(store: Store, held: Claimed) -> Planning:
    """Return the plan of a run that is held."""
    return Planning(store, held, message.decode_request(held.body), TASK)


async def plan(store: Store, held: Claimed, planned: Sequence[Task], before: int = 0) -> Planned:
    """Begin the plan of a run, and add tasks to it."""
    await planning(store, held).add(0, [])
    return await planning(store, held).add(before, planned)


async def advance(store: Store, held: Claimed, planned: int = 0, *, waited_ms: int = 0) -> str:
    """Report that an attempt succeeded that planned so many tasks; return the store's word."""
    told = builders.completion(held)
    report = Ended(held, "succeeded", told, b"", planned, waited_ms)
    words, _ = await store.exchange(WORKER, [report], [], {})
    return words[held.job_id]


async def fan_out(store: Store, count: int = 3, **over: Any) -> Claimed:
    """Return a run that has fanned out into so many tasks."""
    held = await begin(store, **over)
    await plan(store, held, tasks(count))
    await advance(store, held, count)
    return held


async def claim_all(store: Store, n: int = 100) -> list[Claimed]:
    """Claim what there is."""
    return (await builders.claim(store, n)).runs


async def end_all(store: Store, outcome: str = "succeeded") -> list[str]:
    """Claim and end what there is, and what follows; return the job_ids."""
    ended: list[str] = []
    while runs := await claim_all(store):
        for each in runs:
            await builders.complete(store, each, outcome)
            ended.append(each.job_id)
    return ended


def number(held: Claimed) -> int:
    """Return the number that a task was planned under, by what its worker is told."""
    found = message.decode_request(held.body)
    assert found.task is not None
    return int(msgspec.msgpack.decode(found.args)["n"])


async def count(store: Store, held: Claimed) -> dict[str, int]:
    """Return how many tasks of a run were planned, and ended how."""
    fields = ("planned", "succeeded", "dead", "cancelled")
    row = await store.link.command("HMGET", keys.fan(GROUP, held.job_id), *fields)
    return {name: int(value or 0) for name, value in zip(fields, row, strict=True)}


async def outcome(store: Store, ref: str = "acme/import") -> str | None:
    """Return how the last run of a job ended, None if none has."""
    value = await store.link.command("HGET", keys.slot(GROUP, ref), "outcome")
    return value.decode() if value else None


async def seed(
    store: Store,
    before: State | None,
    attempts: int,
    request: Mapping[str, Any],
    *,
    mending: bool = False,
    planned: int = 0,
    busy: bool = False,
    failed: bool = False,
) -> Seeded:
    """Bring a run, with its tasks and phases, into a state: see `Move` in test_state_machine."""
    over = run(attempts=attempts, **request)
    state = State.FANNED if failed else before
    seeded = await builders.seed(store, state, attempts=attempts, body=over.body)
    if mending:
        await builders.complete(store, seeded.run, "dead")
        await builders.register(store, WORKER, MEND.handler)
        seeded = seeded._replace(run=(await claim_all(store))[0])
    if planned:
        await plan(store, seeded.run, tasks(planned))
    if busy or failed:
        await builders.register(store, WORKER, TASK, "nobody.serves")
        day = 24 * builders.HOUR_MS
        _, claims = await store.exchange(WORKER, [], [], {GROUP: 1}, lease_ms=day)
        if failed:
            await builders.complete(store, claims[GROUP].runs[0], "dead")
    return seeded


async def leave_traces(store: Store) -> str:
    """Return the job_id of a run all of whose keys exist: tasks in every state."""
    await builders.register(store, "planner", "orders.plan", TASK)
    wanted = builders.occurrence("traces", "import", handler="orders.plan")
    await builders.enqueue(store, wanted)
    held = (await builders.claim(store, 1, "planner")).runs[0]
    await plan(store, held, tasks(40))
    await advance(store, held, 40)
    first, second = (await builders.claim(store, 2, "planner")).runs
    await builders.complete(store, first, "dead")
    await builders.complete(store, second)
    return wanted.job_id
