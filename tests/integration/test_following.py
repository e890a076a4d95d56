"""Schedulers do what was applied last, and touch nothing but what differs."""

from collections.abc import Callable

import msgspec
import pytest

from rota.common import clock, keys, message
from rota.common.catalog import Catalog
from rota.common.clock import SystemClock
from rota.common.job import Job
from rota.common.revisions import Revision, Revisions
from rota.common.store import Store
from rota.scheduler import follower
from rota.scheduler.applier import Applier
from rota.scheduler.daemon import SchedulerDaemon
from rota.scheduler.engine import Engine
from rota.scheduler.leader import TTL
from rota.scheduler.schedule import due_of, phase
from tests.support import builders, configurations, probe, revisions, schedulers
from tests.support.builders import GROUP
from tests.support.configurations import apply, followed
from tests.support.definitions import config, job
from tests.support.logbook import Logbook
from tests.support.schedulers import RARE, REF, Rig

CLOCK = SystemClock()
HOUR_MS = 3_600_000
DAY_MS = 86_400_000


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let schedulers look often, so that no test waits long."""
    monkeypatch.setattr(follower, "_PERIOD", 0.1)


class Spy:
    """Which jobs the engine was told of, by what."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[tuple[str, str]] = []
        for name in ("add", "change", "retime", "remove"):
            monkeypatch.setattr(Engine, name, self._noting(name, getattr(Engine, name)))

    def _noting(self, name: str, method: Callable[..., None]) -> Callable[..., None]:
        def noted(engine: Engine, job: Job | str, *rest: object) -> None:
            self.calls.append((name, job if isinstance(job, str) else job.ref))
            method(engine, job, *rest)

        return noted


def next_ms(rig: Rig, ref: str = REF) -> int | None:
    """Return when a job is due next."""
    return rig.daemon.engine.next_ms(ref)


async def test_one_job_is_touched(url: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a changed configuration only the jobs that differ are touched, in engine and store."""
    jobs = [job(f"acme/j{n}", every=RARE) for n in range(100)]
    async with schedulers.running(url, *jobs) as rig:
        before = {each.ref: next_ms(rig, each.ref) for each in jobs}
        spy = Spy(monkeypatch)
        await store.link.command("CONFIG", "RESETSTAT")
        jobs[7] = job("acme/j7", every=RARE, args={"source": "web"})
        jobs[8] = job("acme/j8", cron="@yearly")
        await followed(rig, await apply(store, *jobs[:-1], job("acme/new", every=RARE)))
        written = (await store.link.command("INFO", "commandstats"))["cmdstat_hset"]["calls"]
        after = {each.ref: next_ms(rig, each.ref) for each in jobs}

    assert [
        ("remove", "acme/j99"),
        ("change", "acme/j7"),
        ("retime", "acme/j8"),
        ("add", "acme/new"),
    ] == spy.calls[:4]
    assert {"acme/j8", "acme/j99"} == {ref for ref in before if before[ref] != after[ref]}
    assert due_of(jobs[8]).next_after(CLOCK.now_ms()) == after["acme/j8"]
    assert written <= 12  # one for what is published; the others are renewals of the lead


async def test_without_a_change(url: str, store: Store) -> None:
    """What is applied and says the same makes no revision; a restart with the same makes none."""
    each = job(every=RARE, args={"b": 1, "a": {"y": 1, "x": 2}})
    async with schedulers.running(url, each):
        first = await apply(store, each)
    async with schedulers.running(url, job(every=RARE, args={"a": {"x": 2, "y": 1}, "b": 1})):
        pass

    assert 1 == first.number
    assert [first] == await Revisions(store.link).kept()


async def test_the_last_that_starts_wins(url: str, store: Store) -> None:
    """Of two schedulers that are started with different files both follow the later one's."""
    async with (
        schedulers.running(url, job(every=RARE)) as first,
        schedulers.beside(url, job("bolt/x", every=RARE), groups=("more",)) as second,
    ):
        await probe.until(lambda: 2 == first.daemon._follower.revision)
        await probe.until(lambda: len(first.led) + len(second.led) == 2)
        leader = first if GROUP in first.led else second

        assert next_ms(leader) is None
        assert next_ms(leader, "bolt/x")
        assert ["bolt/x"] == [each.ref for each in await Catalog(store.link).jobs(GROUP)]


async def test_two_start_at_once(url: str, store: Store) -> None:
    """Schedulers that start with the same file at the same time make one revision."""
    each = job(every=RARE)
    async with (
        schedulers.beside(url, each) as first,
        schedulers.beside(url, each) as second,
    ):
        await probe.until(lambda: first.led or second.led)

    assert [1] == [revision.number for revision in await Revisions(store.link).kept()]
    assert [] == first.book.complaints() + second.book.complaints()


async def test_nothing_was_applied(url: str, store: Store) -> None:
    """A scheduler without a configuration waits for one, says so, and is ready when it has it."""
    book = Logbook()
    daemon = SchedulerDaemon(url, log=book.log)
    await daemon.start()
    try:
        await probe.until(lambda: book.events("config_awaited"))
        waiting = daemon.unready()
        await apply(store, job(every=RARE))
        await probe.until(lambda: not daemon.unready() and daemon.engine.next_ms(REF))
    finally:
        await daemon.stop()

    assert "sched apply" in waiting
    assert 1 == len(book.events("config_awaited"))


async def test_new_and_removed_group(url: str, store: Store) -> None:
    """A new group is led; one that is gone fires no more, and is withdrawn when its runs end."""
    old, new = job("bolt/x", every="100ms", group="old"), job("cato/x", every="100ms", group="new")
    async with schedulers.running(url, old) as rig:
        run = await schedulers.claimed(store, "old")
        await followed(rig, await apply(store, new))
        await probe.until(lambda: rig.enqueued("cato/x"))
        count = len(rig.enqueued("bolt/x"))
        known = await Catalog(store.link).groups()
        # Its run fails, rests, and is tried again: somebody looks after it.
        assert "retrying" == await builders.retry(store, run, rest_ms=50)
        again = await schedulers.claimed(store, "old")
        await builders.complete(store, again)

        async def withdrawn() -> bool:
            return ["new"] == await Catalog(store.link).groups()

        await probe.found(withdrawn)
        await probe.until(lambda: {"new"} == rig.led)

    assert 1 == count
    assert ["new", "old"] == known
    assert (run.job_id, 2) == (again.job_id, again.attempt)
    assert ["retrying", "succeeded"] == [c.outcome for c in rig.heard if c.tenant == "bolt"]
    assert ["old"] == [entry["group"] for entry in rig.book.events("group_withdrawn")]


async def test_removed_job_in_flight(url: str, store: Store) -> None:
    """The run of a job that was removed ends as it would have; the job fires no more."""
    async with schedulers.running(url, job(every="100ms"), job("bolt/x", every=RARE)) as rig:
        run = await schedulers.claimed(store)
        await followed(rig, await apply(store, job("bolt/x", every=RARE)))
        await builders.complete(store, run)
        await probe.until(lambda: rig.heard)

        assert next_ms(rig) is None
        assert [run.job_id] == rig.enqueued()
        assert 0 == len(rig.daemon._awaited)


async def test_new_arguments(url: str, store: Store) -> None:
    """The next run after a change is sent with the new arguments, and no run is skipped for it."""
    async with schedulers.running(url, job(every="100ms", args={"n": 1})) as rig:
        run = await schedulers.claimed(store)
        await followed(rig, await apply(store, job(every="100ms", args={"n": 2})))
        await builders.complete(store, run)
        later = await schedulers.claimed(store)
    args = [message.decode_request(each.body).args for each in (run, later)]

    assert [{"n": 1}, {"n": 2}] == [msgspec.msgpack.decode(raw) for raw in args]


async def test_fixed_delay_keeps_its_run(url: str, store: Store) -> None:
    """A fixed delay that is changed while its run is under way counts from that run's end."""
    async with schedulers.running(url, job(after="100ms")) as rig:
        run = await schedulers.claimed(store)
        await followed(rig, await apply(store, job(after="1h")))
        parked = next_ms(rig)
        await builders.complete(store, run)
        await probe.until(lambda: rig.heard)
        ended_ms = CLOCK.now_ms()
        due_ms = next_ms(rig)

    assert parked is None
    assert due_ms is not None
    assert ended_ms + HOUR_MS - 5_000 < due_ms <= ended_ms + HOUR_MS


@pytest.mark.parametrize("kind", ["every", "after", "cron"])
async def test_nothing_bursts(url: str, store: Store, kind: str) -> None:
    """Jobs that get another schedule are due by it after the change: none makes up for the past."""
    refs = [f"t{n}/import" for n in range(30)]
    for ref in refs:
        slot = keys.slot(GROUP, ref)
        long_ago = CLOCK.now_ms() - 3 * DAY_MS
        await store.link.command("HSET", slot, "due", long_ago, "ended", long_ago)
    text = {"every": "1h", "after": "1h", "cron": "0 0 * * *"}[kind]
    async with schedulers.running(url, *(job(ref, at="2999-01-01 00:00") for ref in refs)) as rig:
        changed = [job(ref, **{kind: text}) for ref in refs]
        made = await apply(store, *changed)
        await followed(rig, made)
        first = {ref: next_ms(rig, ref) for ref in refs}
        sent = [run for ref in refs for run in rig.enqueued(ref)]
    async with schedulers.running(url, *changed) as rig:
        again = {ref: next_ms(rig, ref) for ref in refs}

    assert [] == sent
    assert first == again
    assert all(due is not None and due > made.at_ms for due in first.values())
    if kind == "after":
        assert {ref: made.at_ms + phase(ref, HOUR_MS) for ref in refs} == first


async def test_added_while_nobody_ran(url: str, store: Store) -> None:
    """What fell due after it was applied, while no scheduler ran, is made up for; once."""
    async with schedulers.running(url, job("bolt/x", every=RARE)):
        pass
    known = await Applier(store.link, command="test").current()
    assert known is not None
    yesterday = CLOCK.now_ms() - DAY_MS
    once = job("acme/once", at=f"{clock.utc(yesterday + HOUR_MS):%Y-%m-%d %H:%M}")
    early = job("acme/early", at=f"{clock.utc(yesterday - HOUR_MS):%Y-%m-%d %H:%M}")
    jobs = [job("bolt/x", every=RARE), once, early]
    new = known.applied.followed_by(config(*jobs), yesterday)
    await configurations.put(store, new)
    async with schedulers.running(url, *jobs) as rig:
        await probe.until(lambda: rig.enqueued("acme/once"))

    assert [] == rig.enqueued("acme/early")
    assert 1 == len(rig.enqueued("acme/once"))


async def test_lead_moves_meanwhile(url: str, store: Store) -> None:
    """A revision that comes while the lead moves is followed by whoever leads then."""
    async with (
        schedulers.running(url, job(every=RARE)) as first,
        schedulers.beside(url, job(every=RARE)) as second,
    ):
        await first.crash()
        made = await apply(store, job("bolt/x", every=RARE))
        await builders.shift(store, round(TTL * 1000))
        await probe.until(lambda: second.led)
        await followed(second, made)
        await probe.until(lambda: next_ms(second, "bolt/x"))

        assert next_ms(second) is None


async def test_many_revisions_at_once(url: str, store: Store) -> None:
    """However fast revisions come, in the end the engine has what the last one says."""
    async with schedulers.running(url, job(every=RARE)) as rig:
        for n in range(30):
            made = await apply(store, *(job(f"t{k}/x", every=RARE) for k in range(n % 7)))
        await followed(rig, made)

        assert {f"t{k}/x" for k in range(29 % 7)} == rig.daemon._groups._members[GROUP].led.held


async def test_store_is_emptied(url: str, store: Store) -> None:
    """A store that was emptied is given the revision back by the scheduler that knows it."""
    jobs = [job(f"t{n}/x", every=RARE) for n in range(20)]
    async with schedulers.running(url, job("t0/x", every=RARE)) as rig:
        made = await apply(store, *jobs)
        await followed(rig, made)
        await store.link.command("FLUSHALL")
        await probe.until(lambda: rig.book.events("revision_restored"))
        back = await Applier(store.link, command="test").current()
        await probe.until(lambda: len(rig.book.events("group_led")) == 2, TTL * 2)
        sent = rig.book.events("run_enqueued")

    assert back is not None
    assert (2, made.at_ms) == (back.revision.number, back.revision.at_ms)
    assert config(*jobs) == back.applied.config
    assert [] == sent


async def test_applied_to_an_emptied_store(url: str, store: Store) -> None:
    """What somebody applies to a store that was emptied is followed, though its number is lower."""
    async with schedulers.running(url, job(every=RARE)) as rig:
        await followed(rig, await apply(store, job("bolt/x", every=RARE)))
        await store.link.pipeline([("DEL", keys.revisions())])
        made = await apply(store, job("cato/x", every=RARE))
        await probe.until(lambda: next_ms(rig, "cato/x"))

        assert made.number in (1, 3)
        assert next_ms(rig, "bolt/x") is None


async def test_unreadable(url: str, store: Store) -> None:
    """A revision that can't be read changes nothing, and is told as an error, once."""
    async with schedulers.running(url, job(every=RARE)) as rig:
        due_ms = next_ms(rig)
        await revisions.make(store, b"\x01")
        await probe.until(lambda: rig.book.events("revision_unreadable"))
        await followed(rig, await _on_top(store, job("bolt/x", every=RARE)))

        assert due_ms is not None
        assert next_ms(rig, "bolt/x")
        assert [2] == [entry["revision"] for entry in rig.book.events("revision_unreadable")]


async def _on_top(store: Store, each: Job) -> Revision:
    """Apply a configuration whatever there is."""
    return await Applier(store.link, command="test").ensure(config(each), Logbook().log)
