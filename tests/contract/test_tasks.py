"""Tasks: planned, queued a few at a time, ended once each; the last one takes the run further."""

from collections.abc import Callable

import pytest

from rota.common import keys, message
from rota.common.intervention import Intervention
from rota.common.job import Tasks
from rota.common.planning import Planned
from rota.common.state import State
from rota.common.store import Store
from rota.scheduler.reconciler import Walk
from tests.support import builders, fans
from tests.support.builders import GROUP, HOUR_MS


async def test_run_waits_for_its_tasks(store: Store) -> None:
    """A run that planned tasks succeeds when the last of them has, and not before."""
    held = await fans.fan_out(store, 3)
    *most, last = await fans.claim_all(store)
    for each in most:
        await builders.complete(store, each)

    assert State.FANNED == await builders.state_of(store, held.job_id)
    assert "completed" == await builders.complete(store, last)
    assert await builders.state_of(store, held.job_id) is None
    assert "succeeded" == await fans.outcome(store)


async def test_largest_first(store: Store) -> None:
    """Tasks are claimed the largest first, however many there are."""
    await fans.fan_out(store, 100)
    runs = await fans.claim_all(store, 100)

    assert list(range(100, 0, -1)) == [fans.number(each) for each in runs]


async def test_few_tasks_are_queued(store: Store) -> None:
    """Most tasks wait in the plan: the tenant's own other runs come soon."""
    held = await fans.fan_out(store, 1_000)
    queued = await store.link.command("LLEN", keys.queue(GROUP, "acme"))
    await fans.claim_all(store, 10)

    assert 32 == queued == await store.link.command("LLEN", keys.queue(GROUP, "acme"))
    assert 1_000 - 42 == await store.link.command("ZCARD", keys.todo(GROUP, held.job_id))


async def test_no_overlap_while_tasks_run(store: Store) -> None:
    """The job's slot stays taken until the last task is over."""
    held = await fans.fan_out(store, 2)
    later = builders.occurrence(due_ms=builders.DUE_MS + 1)

    assert [("busy", held.job_id)] == await builders.enqueue(store, later)
    await fans.end_all(store)
    assert [("queued", later.job_id)] == await builders.enqueue(store, later)


async def test_nothing_is_left_of_tasks(store: Store) -> None:
    """When a run with tasks is over, no key tells of it but the slot and the ledger."""
    before = set(await builders.snapshot(store))
    await fans.fan_out(store, 50)
    await fans.end_all(store)
    left = set(await builders.snapshot(store)) - before

    assert [] == [key for key in left if "#" in key or "Z" in key]


async def test_no_plan_no_wait(store: Store) -> None:
    """A planner that finds nothing to do is over at once."""
    held = await fans.begin(store)
    await fans.plan(store, held, [])

    assert "completed" == await fans.advance(store, held, 0)
    assert "succeeded" == await fans.outcome(store)


async def test_batch_again(store: Store) -> None:
    """A batch that is sent again, as its reply was lost, adds nothing."""
    held = await fans.begin(store)
    await fans.plan(store, held, fans.tasks(3))

    assert Planned(3, 0.0) == await fans.plan(store, held, fans.tasks(3))
    assert Planned(5, 0.0) == await fans.plan(store, held, fans.tasks(3), before=2)
    assert 5 == await store.link.command("ZCARD", keys.todo(GROUP, held.job_id))


async def test_gap_is_told(store: Store) -> None:
    """A planner hears that the store has fewer tasks than it has sent."""
    held = await fans.begin(store)
    await fans.plan(store, held, fans.tasks(3))

    assert Planned(3, 0.0) == await fans.plan(store, held, fans.tasks(2), before=4)


async def test_planner_begins_anew(store: Store) -> None:
    """What a planner had planned that died is dropped: none of it had begun."""
    dead = await fans.begin(store)
    await fans.plan(store, dead, fans.tasks(7))
    await builders.shift(store, HOUR_MS)
    await store.sweep(GROUP)
    await builders.register(store, builders.WORKER, builders.HANDLER, fans.TASK)
    held = (await builders.claim(store)).runs[0]

    assert Planned(-1, 0.0) == await fans.plan(store, dead, fans.tasks(1), before=7)
    assert Planned(2, 0.0) == await fans.plan(store, held, fans.tasks(2))
    await fans.advance(store, held, 2)
    assert 2 == len(await fans.end_all(store))
    assert "succeeded" == await fans.outcome(store)


async def test_early_tasks(store: Store) -> None:
    """Where that is set tasks run while planning goes on, and stay when their planner dies."""
    dead = await fans.begin(store, tasks=Tasks(early=True))
    await fans.plan(store, dead, fans.tasks(3))
    assert 3 == len(await fans.end_all(store))
    await builders.shift(store, HOUR_MS)
    await store.sweep(GROUP)
    await builders.register(store, builders.WORKER, builders.HANDLER, fans.TASK)
    held = (await builders.claim(store)).runs[0]

    assert Planned(3, 0.0) == await fans.planning(store, held).add(0, [])
    assert Planned(4, 0.0) == await fans.planning(store, held).add(3, [fans.task(4)])
    await fans.advance(store, held, 4)
    assert 1 == len(await fans.end_all(store))
    assert "succeeded" == await fans.outcome(store)


async def test_lost_plan(store: Store) -> None:
    """A run of whose plan the store has lost a part is planned again, not over early."""
    held = await fans.begin(store)
    await fans.plan(store, held, fans.tasks(3))
    await fans.advance(store, held, 5)

    assert State.QUEUED == await builders.state_of(store, held.job_id)


async def test_end_counts_once(store: Store) -> None:
    """A task's completion that comes twice is counted once, also if the store may have lost it."""
    held = await fans.fan_out(store, 3)
    first = (await fans.claim_all(store, 1))[0]

    assert "completed" == await builders.complete(store, first)
    assert "completed" == await builders.complete(store, first)
    await builders.change_server(store)
    assert "completed" == await builders.complete(store, first)
    assert 1 == (await fans.count(store, held))["succeeded"]


async def test_forgotten_task_is_counted(store: Store) -> None:
    """A completion of which the store has lost the claim is taken while the gate is open."""
    held = await fans.fan_out(store, 3)
    first = (await fans.claim_all(store, 1))[0]
    record = keys.run(GROUP, first.job_id)
    await store.link.command("HSET", record, "state", "queued")
    await store.link.command("HDEL", record, "fence")
    await store.link.command("ZREM", keys.leases(GROUP), first.job_id)
    await builders.change_server(store)

    assert "completed" == await builders.complete(store, first)
    assert 1 == (await fans.count(store, held))["succeeded"]
    await builders.close_gate(store)
    await builders.register(store, builders.WORKER, builders.HANDLER, fans.TASK)
    assert 2 == len(await fans.end_all(store))
    assert "succeeded" == await fans.outcome(store)


async def test_task_is_adopted(store: Store) -> None:
    """A worker that lives brings back a task whose claim was lost; not one of an unknown run."""
    held = await fans.fan_out(store, 3)
    first, second = await fans.claim_all(store, 2)
    await store.link.command("DEL", keys.run(GROUP, first.job_id))
    await store.link.command("ZREM", keys.leases(GROUP), first.job_id)

    assert "unknown" == await builders.renew(store, first)
    assert ["adopted"] == await builders.adopt(store, first)
    assert "completed" == await builders.complete(store, first)
    for key in (held.job_id, second.job_id):
        await store.link.command("DEL", keys.run(GROUP, key))
    assert "lost" == await builders.renew(store, second)
    assert ["lost"] == await builders.adopt(store, second)


async def test_task_of_a_run_that_is_gone(store: Store) -> None:
    """A queued task whose run is over is not executed."""
    held = await fans.fan_out(store, 3)
    await store.link.command("DEL", keys.run(GROUP, held.job_id))

    assert [] == await fans.claim_all(store)


async def test_failed_task_goes_back(store: Store) -> None:
    """A task that fails rests and is tried again, one that is lost goes back at once."""
    await fans.fan_out(store, 2)
    first, second = await fans.claim_all(store)
    await builders.retry(store, first)
    await builders.shift(store, HOUR_MS)
    await store.sweep(GROUP)
    await builders.register(store, builders.WORKER, builders.HANDLER, fans.TASK)
    again = await fans.claim_all(store)

    assert {(first.job_id, 2), (second.job_id, 2)} == {(r.job_id, r.attempt) for r in again}


async def test_nobody_is_told_of_tasks(store: Store) -> None:
    """Of all its tasks' ends the run's own is the one that is told, and in the ledger."""
    held = await fans.fan_out(store, 5)
    await fans.end_all(store)
    entries = await store.link.command("XRANGE", keys.done(GROUP), "-", "+")
    told = [message.decode_completion(fields[b"completion"]) for _, fields in entries]

    assert [(held.job_id, "succeeded")] == [(each.job_id, each.outcome) for each in told]
    assert 1 == await store.link.command("LLEN", keys.ledger(GROUP, "acme/import"))


async def test_dead_task(store: Store) -> None:
    """A run one of whose tasks is dead is a dead letter when the others are over."""
    held = await fans.fan_out(store, 3)
    first, *others = await fans.claim_all(store)
    await builders.complete(store, first, "dead")
    assert State.FANNED == await builders.state_of(store, held.job_id)
    for each in others:
        await builders.complete(store, each)

    assert State.DEAD == await builders.state_of(store, held.job_id)


async def test_replay_runs_what_failed(store: Store) -> None:
    """A dead letter that is replayed runs its dead tasks again, and no others."""
    held = await fans.fan_out(store, 40)
    runs = await fans.claim_all(store)
    for each in runs:
        failed = fans.number(each) in (7, 20)
        await builders.complete(store, each, "dead" if failed else "succeeded")
    assert ("queued", held.job_id) == await Intervention(store).replay(GROUP, held.job_id)
    again = await fans.claim_all(store)

    assert [20, 7] == [fans.number(each) for each in again]
    for each in again:
        await builders.complete(store, each)
    assert "succeeded" == await fans.outcome(store)


async def test_first_failure_stops_all(store: Store) -> None:
    """Where that is set the first dead task stops the others; a replay runs all that are left."""
    held = await fans.fan_out(store, 50, tasks=Tasks(at_once=True))
    first, second, third = await fans.claim_all(store, 3)
    await builders.complete(store, third)
    await builders.complete(store, first, "dead")

    assert [] == await fans.claim_all(store)
    assert (second.job_id, second.fence) == await Intervention(store).listen(GROUP, "w1")
    await builders.complete(store, second, "cancelled")
    assert State.DEAD == await builders.state_of(store, held.job_id)
    await Intervention(store).replay(GROUP, held.job_id)
    assert 49 == len(await fans.end_all(store))
    assert "succeeded" == await fans.outcome(store)


async def test_cancel(store: Store) -> None:
    """A run that is cancelled takes its tasks with it: those that wait, and those that run."""
    held = await fans.fan_out(store, 50)
    first = (await fans.claim_all(store, 1))[0]
    cancel = [(GROUP, held.job_id)]

    assert {held.job_id: "cancelling"} == await Intervention(store).cancel(cancel)
    assert [] == await fans.claim_all(store)
    assert (first.job_id, first.fence) == await Intervention(store).listen(GROUP, "w1")
    await builders.complete(store, first, "cancelled")
    assert "cancelled" == await fans.outcome(store)


async def test_cancel_at_once(store: Store) -> None:
    """A run none of whose tasks is running is cancelled at once."""
    held = await fans.fan_out(store, 50)
    cancel = [(GROUP, held.job_id)]

    assert {held.job_id: "cancelled"} == await Intervention(store).cancel(cancel)
    assert "cancelled" == await fans.outcome(store)


async def test_cancelled_task(store: Store) -> None:
    """A task that somebody cancels is left out; its run goes on without it."""
    held = await fans.fan_out(store, 3)
    task = f"{held.job_id}#1.3"

    assert {task: "cancelled"} == await Intervention(store).cancel([(GROUP, task)])
    assert {task: "over"} == await Intervention(store).cancel([(GROUP, task)])
    assert 2 == len(await fans.end_all(store))
    assert "succeeded" == await fans.outcome(store)


async def test_early_tasks_outlive_their_planner(store: Store) -> None:
    """A planner that is dead for good stops its tasks; the run is dead when they are over."""
    held = await fans.begin(store, tasks=Tasks(early=True))
    await fans.plan(store, held, fans.tasks(40))
    first = (await fans.claim_all(store, 1))[0]
    await builders.complete(store, held, "dead")

    assert State.FANNED == await builders.state_of(store, held.job_id)
    assert [] == await fans.claim_all(store)
    await builders.complete(store, first, "cancelled")
    assert State.DEAD == await builders.state_of(store, held.job_id)
    await Intervention(store).replay(GROUP, held.job_id)
    (again,) = await fans.claim_all(store, 1)
    assert Planned(40, 0.0) == await fans.planning(store, again).add(0, [])


async def test_stagger(store: Store) -> None:
    """Tasks begin one after the other where that is set."""
    await fans.fan_out(store, 3, tasks=Tasks(stagger_ms=1_000))

    assert 1 == len(await fans.claim_all(store))
    for _ in range(2):
        await builders.shift(store, 1_000)
        await store.sweep(GROUP)
        assert 1 == len(await fans.claim_all(store))


async def test_tasks_count_in_limits(store: Store) -> None:
    """No more tasks run at a time than their tenant may run."""
    await fans.fan_out(store, 9)
    limits = ("limits", "4 0 1 0")
    await store.link.command("HSET", keys.tenant(GROUP, "acme"), *limits)

    assert 4 == len(await fans.claim_all(store))


@pytest.mark.parametrize("lost", [keys.live, keys.fan])
async def test_stalled_run_goes_on(store: Store, lost: Callable[[str, str], str]) -> None:
    """A run whose tasks, or whose plan, somebody has deleted goes on after the slow walk."""
    held = await fans.fan_out(store, 40)
    await store.link.command("DEL", lost(GROUP, held.job_id))
    repairs: list[tuple[str, str]] = []
    whole = Walk(GROUP, store)
    while not whole.over:
        repairs += await whole.step()
    for each in await fans.claim_all(store):
        if each.job_id == held.job_id:
            await fans.plan(store, each, fans.tasks(2))
            await fans.advance(store, each, 2)
        else:
            await builders.complete(store, each)
    await fans.end_all(store)

    assert ("fan_stalled", held.job_id) in repairs
    assert "succeeded" == await fans.outcome(store)


async def test_pace(store: Store) -> None:
    """How long tasks take for each unit of size is learnt, and known when the next run plans.

    Later runs weigh as much as all before.
    """
    rules = Tasks(time_ms=1_000)
    paces = []
    for number, seconds in enumerate((6, 12, 0)):
        held = await fans.begin(store, number=number, tasks=rules)
        paces.append((await fans.plan(store, held, fans.tasks(3))).pace)
        await fans.advance(store, held, 3)
        each = await fans.claim_all(store)
        await builders.shift(store, seconds * 1_000)
        for task in each:
            await builders.complete(store, task)

    assert [0, 3_000, 4_500] == [round(pace, -2) for pace in paces]


async def test_pace_is_learnt_on_request(store: Store) -> None:
    """A job that does not ask for it learns nothing."""
    await fans.fan_out(store, 3)
    for each in await fans.claim_all(store):
        await builders.complete(store, each)
    slot = await store.link.command("HKEYS", keys.slot(GROUP, "acme/import"))

    assert b"pace 1" not in slot
    assert "succeeded" == await fans.outcome(store)


async def test_dead_planner_waits_for_no_task(store: Store) -> None:
    """A run whose planner dies before one of its early tasks began is over: it waits for none."""
    held = await fans.begin(store, tasks=Tasks(early=True))
    await fans.plan(store, held, fans.tasks(3))
    await builders.complete(store, held, "dead")

    assert State.DEAD == await builders.state_of(store, held.job_id)
    assert 0 == await store.link.command("EXISTS", keys.fanned(GROUP))
