"""A random walk on a store that loses writes, and whose workers bring back what it has lost."""

from collections import defaultdict
from copy import deepcopy
from typing import Any

from rota.common import keys
from rota.common.run import Claimed, Occurrence
from rota.common.scripts import GATE_MS
from rota.common.state import State
from rota.common.store import LEASE_MS, Store
from tests.support import backup, builders
from tests.support.builders import GROUP
from tests.support.walk import HANDLERS, WORKERS, Walk

_SLACK_MS = 3_000  # real time that may pass while the model takes the gate for open
_FORGETFUL = ("states", "attempts", "fences", "slots", "ended", "claimed", "finished")


class LossyWalk(Walk):
    """A walk in which a loss takes the model of the store back, and not what workers know."""

    def __init__(self, store: Store, seed: int) -> None:
        super().__init__(store, seed)
        self.gate_ms = 0  # until the gate closes
        self.ended: set[str] = set()  # job_ids
        self.claimed: defaultdict[str, int] = defaultdict(int)  # TENANT/JOB -> highest fence
        self.finished: defaultdict[str, int] = defaultdict(int)  # the same, of runs that ended
        self.reported: list[Claimed] = []
        self.saved: tuple[backup.Backup, dict[str, Any]] | None = None
        self.steps += [self.change_server, self.remember, self.lose_writes]
        self.steps += [self.adopt, self.replay] * 3

    def _enqueued(self, run: Occurrence, word: str, job_id: str) -> None:
        assert (word == "gated") == (self.gate_ms > 0)
        if word != "gated":
            super()._enqueued(run, word, job_id)
            assert word != "queued" or job_id not in self.ended

    async def claim_for(self, worker: str, n: int) -> None:
        """Claim, if the gate is closed."""
        before = len(self.held)
        await super().claim_for(worker, n)
        assert self.gate_ms == 0 or len(self.held) == before
        for run in self.held[before:]:
            self.claimed[_ref(run)] = run.fence

    async def let_time_pass(self) -> None:
        """Let up to half a lease pass, and the gate be either clearly open or closed."""
        ms = self.random.randint(0, LEASE_MS // 2)
        ms = self.gate_ms if 0 <= self.gate_ms - ms <= _SLACK_MS else ms
        await builders.shift(self.store, ms)
        self.gate_ms = max(0, self.gate_ms - ms)

    async def change_server(self) -> None:
        """Let the store be served by another process."""
        await builders.change_server(self.store)
        await self.store.sweep(GROUP)
        self.gate_ms = GATE_MS

    async def remember(self) -> None:
        """Take a copy to go back to."""
        model = {name: deepcopy(getattr(self, name)) for name in _FORGETFUL}
        self.saved = await backup.take(self.store.link), model

    async def lose_writes(self) -> None:
        """Lose what the store was told since the copy was taken."""
        if self.saved:
            copy, model = self.saved
            await backup.put_back(self.store.link, copy)
            for name, value in deepcopy(model).items():
                setattr(self, name, value)
            await self.change_server()

    async def adopt(self) -> None:
        """Bring back something that a worker thinks it holds."""
        if self.held:
            await self._adopt(self.random.choice(self.held))

    async def _adopt(self, run: Claimed) -> None:
        ref = _ref(run)
        over = run.job_id in self.ended or self.claimed[ref] >= run.fence
        expected = "adopted" if self.holds(run) or not over else "lost"
        adoption = builders.adoption(run)._replace(handler=HANDLERS[ref.partition("/")[2]])
        lost = await self.store.adopt("w1", GROUP, [adoption])

        assert expected == ("lost" if lost else "adopted")
        if not lost:
            self.states.pop(self.slots.get(ref, ""), None)
            self.slots[ref] = run.job_id
            self.states[run.job_id], self.attempts[run.job_id] = State.RUNNING, run.attempt
            self.fences[run.job_id] = self.claimed[ref] = run.fence

    async def complete(self) -> None:
        """Report that a run is over."""
        if picked := self._pick():
            await self._report(picked[0])
            self.reported.append(picked[0])

    async def replay(self) -> None:
        """Report again that a run is over."""
        if self.reported:
            await self._report(self.random.choice(self.reported))

    async def _report(self, run: Claimed) -> None:
        done = keys.done(GROUP)
        before = await self.store.link.command("XLEN", done)
        word = await builders.complete(self.store, run, self.random.choice(["succeeded", "dead"]))
        accepted = before < await self.store.link.command("XLEN", done)

        assert accepted == (self.holds(run) or self._forgotten(run))
        if accepted:
            assert "completed" == word
            ref = _ref(run)
            self._end(run.job_id)
            self.claimed[ref] = max(self.claimed[ref], run.fence)
            self.finished[ref] = max(self.finished[ref], run.fence)

    def _forgotten(self, run: Claimed) -> bool:
        if self.gate_ms == 0 or run.job_id in self.ended:
            return False
        if run.job_id in self.states:
            return self.fences[run.job_id] < run.fence
        return self.finished[_ref(run)] < run.fence

    def _end(self, job_id: str) -> None:
        self.states.setdefault(job_id, State.DEAD)
        super()._end(job_id)
        self.ended.add(job_id)

    async def sweep(self) -> None:
        """Take back what silent workers held; the dead ended under a fence of their own."""
        before = self.ended.copy()
        await super().sweep()
        for job_id in self.ended - before:
            ref = job_id.partition(":")[0]
            fence = await self.store.link.command("HGET", keys.slot(GROUP, ref), "fence")
            self.claimed[ref] = self.finished[ref] = int(fence)

    async def drain(self) -> None:
        """Bring back all that workers hold, then do only what ends runs, until there are none."""
        await builders.shift(self.store, self.gate_ms)
        self.gate_ms = 0
        for run in self.random.sample(self.held, len(self.held)):
            await self._adopt(run)
        for _ in range(20):
            for run in self.held:
                await self._report(run)
            self.held = []
            await builders.shift(self.store, LEASE_MS * 2)
            await self.sweep()
            for worker in WORKERS:
                await self.claim_for(worker, 20)


def _ref(run: Claimed) -> str:
    return run.job_id.partition(":")[0]
