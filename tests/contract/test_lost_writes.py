"""Failover to a replica that has lost acknowledged writes: nothing is lost, nothing runs twice."""

from collections import Counter
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest

from rota.common import keys
from rota.common.link import Link
from rota.common.run import Claimed, Occurrence
from rota.common.scripts import GATE_MS
from rota.common.store import Store
from tests.support import builders, recount
from tests.support.builders import DUE_MS, GROUP, HOUR_MS
from tests.support.servers import Server

JOBS = 6


class Entry(NamedTuple):
    """One line of the handlers' own audit."""

    what: str  # start or end
    job_id: str
    fence: int


class Platform:
    """A scheduler and a worker on one store, and what their handlers did."""

    def __init__(self, store: Store, seed: int) -> None:
        self.store = store
        self.random = Random(seed)
        self.next_due = dict.fromkeys((f"job{number}" for number in range(JOBS)), DUE_MS)
        self.awaited: dict[str, Occurrence] = {}  # job -> what the scheduler has enqueued
        self.held: list[Claimed] = []
        self.completed: list[Claimed] = []
        self.audit: list[Entry] = []

    async def step(self) -> None:
        """Do one thing at random."""
        await self.random.choice([self.enqueue, self.claim, self.claim, self.complete])()

    async def enqueue(self) -> None:
        """Enqueue the next occurrence of a job that is not in flight."""
        free = [job for job in self.next_due if job not in self.awaited]
        if free:
            job = self.random.choice(free)
            occurrence = builders.occurrence(job=job, due_ms=self.next_due[job])
            self.next_due[job] += 1_000
            words = await builders.enqueue(self.store, occurrence)
            assert [("queued", occurrence.job_id)] == words
            self.awaited[job] = occurrence

    async def claim(self) -> None:
        """Claim and start one run."""
        for run in (await builders.claim(self.store)).runs:
            self.audit.append(Entry("start", run.job_id, run.fence))
            self.held.append(run)

    async def complete(self) -> None:
        """End one run and report it."""
        if self.held:
            run = self.held.pop(self.random.randrange(len(self.held)))
            self.audit.append(Entry("end", run.job_id, run.fence))
            assert "completed" == await builders.complete(self.store, run)
            self.completed.append(run)
            del self.awaited[_job(run.job_id)]

    async def fail_over(self, store: Store) -> None:
        """Go on with `store`, which has lost writes: report all, wait, enqueue again."""
        store.epochs = self.store.epochs
        self.store = store
        occurrences = list(self.awaited.values())
        gated = await builders.enqueue(store, *occurrences, builders.occurrence(job="new"))
        assert {"gated"} == {word for word, _ in gated}
        await builders.register(store)
        self.random.shuffle(self.completed)
        for run in self.completed:
            await builders.complete(store, run)
        lost, unknown = await store.renew(self.held)
        assert [] == lost
        assert {"adopted"} >= set(await builders.adopt(store, *unknown))
        await builders.shift(store, GATE_MS)
        words = await builders.enqueue(store, *occurrences)
        assert {"queued", "duplicate"} >= {word for word, _ in words}

    async def drain(self) -> None:
        """Bring all that was enqueued to its end."""
        for _ in range(50):
            await self.claim()
            await self.complete()
        await builders.shift(self.store, HOUR_MS)
        assert [] == (await self.store.sweep(GROUP))[0]


def _job(job_id: str) -> str:
    return job_id.partition("/")[2].partition(":")[0]


@pytest.mark.parametrize("seed", range(8))
async def test_failover(tmp_path: Path, seed: int) -> None:
    """Each run that was acknowledged is executed once and ends once; no two of a job overlap.

    Enqueued, claimed and completed runs are all lost, some of one job one after the other.
    """
    async with Server(tmp_path) as master, Server(tmp_path, master=master) as replica:
        before, after = Store(Link(master.url)), Store(Link(replica.url))
        platform = Platform(before, seed)
        await builders.register(before)
        for _ in range(30):
            await platform.step()
        known = len(platform.completed)
        await replica.caught_up()
        await replica.promote()  # from here on it misses everything
        while len(platform.completed) < known + 5 or not platform.held:
            await platform.step()
        await before.link.close()
        master.kill()
        await platform.fail_over(after)
        await platform.drain()
        differences = await recount.differences(after)
        stuck = recount.states(await builders.snapshot(after))
        _, entries = await after.completions(GROUP, "0-0")
        running = await after.link.command("ZCARD", keys.leases(GROUP))
        await after.link.close()

    ended = [entry.job_id for entry in platform.audit if entry.what == "end"]
    assert ({}, {}, {}, 0) == (platform.awaited, stuck, differences, running)
    assert len(set(ended)) == len(ended) == len(platform.audit) / 2
    assert {1} == set(Counter(completion.job_id for completion, _ in entries).values())
    assert set(ended) >= {completion.job_id for completion, _ in entries}
    assert_no_overlap(platform.audit)


def assert_no_overlap(audit: list[Entry]) -> None:
    """Assert that the runs of a job came one after the other, under rising fences."""
    for job in {_job(entry.job_id) for entry in audit}:
        entries = [entry for entry in audit if _job(entry.job_id) == job]
        starts, ends = entries[::2], entries[1::2]
        fences = [entry.fence for entry in starts]

        assert {"start"} == {entry.what for entry in starts}
        assert [("end", entry.job_id, entry.fence) for entry in starts] == ends
        assert sorted(set(fences)) == fences
