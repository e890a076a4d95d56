"""A random walk through the operations of a store, and the model that it is compared with."""

from collections import Counter
from random import Random

from rota.common.run import Claimed, Occurrence
from rota.common.state import State
from rota.common.store import LEASE_MS, Store
from tests.support import builders
from tests.support.builders import DUE_MS, GROUP, HANDLER

TENANTS = ("acme", "beta", "ceta")
JOBS = ("import", "export", "strange")  # `strange` is served by worker `w2` alone
HANDLERS = {"import": HANDLER, "export": HANDLER, "strange": "mail.send"}
WORKERS = ("w1", "w2")


class Walk:
    """A random walk: does to the store what it does to its model, and compares the two."""

    def __init__(self, store: Store, seed: int) -> None:
        self.store = store
        self.random = Random(seed)
        self.states: dict[str, State] = {}  # job_id -> state, of the runs in flight
        self.attempts: dict[str, int] = {}  # job_id -> attempts counted
        self.fences: dict[str, int] = {}  # job_id -> fence of the last claim
        self.highest = 0  # fence of all that were given
        self.slots: dict[str, str] = {}  # TENANT/JOB -> job_id in flight
        self.held: list[Claimed] = []  # what workers hold, lost or not
        self.due = DUE_MS
        self.more = False  # whether the last claim left something
        self.taken = Counter[str]()
        self.steps = [
            *[self.enqueue] * 4, *[self.claim] * 4, *[self.complete] * 3,
            self.retry, self.release, self.renew, self.sweep, self.let_time_pass,
        ]  # fmt: skip

    async def register(self) -> None:
        """Make the two workers known."""
        await builders.register(self.store, "w1", HANDLER)
        await builders.register(self.store, "w2", HANDLER, "mail.send")

    async def step(self) -> None:
        """Do one thing at random."""
        step = self.random.choice(self.steps)
        self.taken[step.__name__] += 1
        await step()

    async def enqueue(self) -> None:
        """Enqueue an occurrence that may be new or old, of a job that may be free or busy."""
        tenant, job = self.random.choice(TENANTS), self.random.choice(JOBS)
        self.due += 1
        due = self.due if self.random.random() < 0.8 else self.random.randint(DUE_MS, self.due)
        run = self.occurrence(tenant, job, due)
        ((word, job_id),) = await builders.enqueue(self.store, run)
        self._enqueued(run, word, job_id)

    def occurrence(self, tenant: str, job: str, due_ms: int) -> Occurrence:
        """Return a run to enqueue."""
        return builders.occurrence(tenant, job, due_ms, handler=HANDLERS[job], attempts=3)

    def _enqueued(self, run: Occurrence, word: str, job_id: str) -> None:
        ref = f"{run.tenant}/{run.job}"
        occupant = self.slots.get(ref)
        if occupant is None:
            assert word in {"queued", "past"}
        else:
            assert ("duplicate" if occupant == run.job_id else "busy", occupant) == (word, job_id)
        if word == "queued":
            self.slots[ref] = job_id
            self.states[job_id], self.attempts[job_id] = State.QUEUED, 0
            self.fences[job_id] = 0

    async def claim(self) -> None:
        """Claim a few runs; what the worker does not serve may have been set aside."""
        await self.claim_for(self.random.choice(WORKERS), self.random.randint(1, 4))

    async def claim_for(self, worker: str, n: int) -> None:
        """Claim up to `n` runs for one worker."""
        claim = await builders.claim(self.store, n, worker)
        assert len(claim.runs) <= n
        self.more = claim.more
        for run in claim.runs:
            assert self.states[run.job_id] in {State.QUEUED, State.HELD}
            assert worker == "w2" or "/strange:" not in run.job_id
            self.states[run.job_id] = State.RUNNING
            self.attempts[run.job_id] += 1
            assert self.attempts[run.job_id] == run.attempt
            assert self.highest < run.fence
            self.fences[run.job_id] = self.highest = run.fence
            self.held.append(run)
        await self._see_what_was_set_aside()

    async def _see_what_was_set_aside(self) -> None:
        for job_id, state in self.states.items():
            if state in {State.QUEUED, State.HELD} and "/strange:" in job_id:
                actual = await builders.state_of(self.store, job_id)
                assert actual in {State.QUEUED, State.HELD}
                self.states[job_id] = actual

    def _pick(self) -> tuple[Claimed, bool] | None:
        """Return something that a worker thinks it holds, and whether it does."""
        if not self.held:
            return None
        run = self.held.pop(self.random.randrange(len(self.held)))
        if self.random.random() < 0.1:
            self.held.append(run)  # it will be reported again
        return run, self.holds(run)

    def holds(self, run: Claimed) -> bool:
        """Tell whether the run is held under this very claim."""
        running = self.states.get(run.job_id) is State.RUNNING
        return running and run.fence == self.fences[run.job_id]

    def _end(self, job_id: str) -> None:
        del self.states[job_id]
        self.slots = {ref: run for ref, run in self.slots.items() if run != job_id}

    async def complete(self) -> None:
        """Report that a run is over."""
        if picked := self._pick():
            run, valid = picked
            outcome = self.random.choice(["succeeded", "dead"])
            word = await builders.complete(self.store, run, outcome)
            if valid:
                assert "completed" == word
                self._end(run.job_id)

    async def retry(self) -> None:
        """Report that a run failed."""
        if picked := self._pick():
            run, valid = picked
            word = await builders.retry(self.store, run, rest_ms=self.random.randint(0, 20_000))
            if valid:
                assert "retrying" == word
                self.states[run.job_id] = State.RETRYING

    async def release(self) -> None:
        """Give a run back."""
        if picked := self._pick():
            run, valid = picked
            await self.store.release([run])
            if valid:
                self.states[run.job_id] = State.QUEUED
                self.attempts[run.job_id] -= 1

    async def renew(self) -> None:
        """Renew whatever a worker thinks it holds."""
        lost, unknown = await self.store.renew(self.held)
        for run in self.held:
            assert self.holds(run) == (run not in lost + unknown)

    async def sweep(self) -> None:
        """Take back what silent workers held, and queue what has rested."""
        taken, _ = await self.store.sweep(GROUP)
        for run in taken:
            assert State.RUNNING is self.states[run.job_id]
            assert ("dead" if run.attempt >= 3 else "queued") == run.state
            if run.state == "dead":
                self._end(run.job_id)
            else:
                self.states[run.job_id] = State.QUEUED
        for job_id in [j for j, state in self.states.items() if state is State.RETRYING]:
            self.states[job_id] = await builders.state_of(self.store, job_id) or State.DEAD
            assert self.states[job_id] in {State.RETRYING, State.QUEUED}

    async def let_time_pass(self) -> None:
        """Let up to half a lease pass."""
        await builders.shift(self.store, self.random.randint(0, LEASE_MS // 2))

    async def drain(self) -> None:
        """Do only what brings runs to their end, until there are none."""
        while self.states:
            for worker in WORKERS:
                while runs := (await builders.claim(self.store, 10, worker)).runs:
                    self.held += runs
                    for run in runs:
                        self.states[run.job_id] = State.RUNNING
                        self.attempts[run.job_id] = run.attempt
            await builders.shift(self.store, LEASE_MS * 2)
            await self.store.renew(self.held)
            for run in self.held:
                if await builders.complete(self.store, run) == "completed":
                    self.states.pop(run.job_id, None)
            self.held = []
            await self.store.sweep(GROUP)
