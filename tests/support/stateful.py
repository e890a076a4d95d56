"""A random walk through all transitions: each is done to a store and to its model, and compared."""

from collections import Counter, deque
from collections.abc import Awaitable, Callable
from random import Random

from rota.common import keys, message
from rota.common.clock import SystemClock
from rota.common.intervention import Intervention
from rota.common.ledger import Note
from rota.common.noting import Note as UnitsNote
from rota.common.noting import Noting
from rota.common.progress import Tally, sums
from rota.common.recording import Recording
from rota.common.run import Claimed, Occurrence
from rota.common.state import TRANSITIONS, Operation, State
from rota.common.store import Store
from rota.common.usage import Usages
from rota.scheduler.reconciler import Walk
from tests.support import builders, damage, picture
from tests.support.builders import BESIDE, DUE_MS, GROUP, HANDLER
from tests.support.model import GRID_MS, LEASE_MS, Lists, Model, Move

MAIL = "mail.send"
HANDLERS = {"import": HANDLER, "export": HANDLER, "letter": MAIL, BESIDE: HANDLER}
WORKERS = {"w1": (HANDLER,), "w2": (HANDLER, MAIL), "w3": (MAIL,)}
TENANTS = ("acme", "beta", "ceta")
ATTEMPTS = 3
_TAIL = 40  # steps that are told on failure
_RARE = 0.15
_RECENT = 40  # occurrences that are sent, cancelled or replayed again
_RESTS = [k * GRID_MS + GRID_MS // 2 for k in range(4)]
_CLOCK = SystemClock()

# What only runs with tasks and phases do: see `fan_walk`.
OF_FANS: set[Move] = {
    (before, operation, after)
    for (before, operation), states in TRANSITIONS.items()
    for after in states
    if operation in (Operation.PLAN, Operation.ADVANCE) or State.FANNED in (before, after)
} | {(State.RUNNING, Operation.COMPLETE, State.QUEUED)}
# What only calls do: see `test_calls`.
OF_CALLS: set[Move] = {
    (None, Operation.CALL, State.QUEUED),
    (State.QUEUED, Operation.CLAIM, State.CANCELLED),
    (State.RUNNING, Operation.RETRY, State.DEAD),
}
Step = Callable[[], Awaitable[object]]


class Stateful:
    """The walk. `tail` is what it did last, `model.moves` how often each transition took effect."""

    def __init__(self, store: Store, seed: int) -> None:
        self.store = store
        self.random = Random(seed)
        self.model = Model(now=_CLOCK.now_ms() // GRID_MS * GRID_MS)
        self.held: list[tuple[str, Claimed]] = []  # worker and what it holds, lost or not
        self.sent: list[Occurrence] = []  # what was enqueued, or refused
        self.due = DUE_MS
        self.requests = 0
        self.number = 0
        self.tail: deque[str] = deque(maxlen=_TAIL)
        self.attempts: dict[str, int] = {}  # job_id -> the most that it may have
        self.repairs = Counter[str]()  # words of `reconcile.lua` and `recount.lua`
        self.refused = Counter[str]()  # words by which the store has refused something
        self.steps: list[Step] = [
            *[self.enqueue] * 8, *[self.claim] * 8, *[self.complete] * 3, *[self.retry] * 3,
            *[self.release] * 3, *[self.renew] * 2, *[self.sweep] * 3, *[self.let_time_pass] * 4,
            *[self.cancel] * 3, *[self.replay] * 2, self.purge, self.hear, *[self.progress] * 2,
            *[self.repair] * 3, *[self.record] * 2,
        ]  # fmt: skip

    def lawful(self) -> set[Move]:
        """Return the moves that must have been made for the walk to have shown anything."""
        moves: set[Move] = {
            (before, operation, after)
            for (before, operation), states in TRANSITIONS.items()
            for after in states or (None,)
        }
        return {move for move in moves if move[1] is not Operation.ADOPT} - OF_FANS - OF_CALLS

    async def begin(self) -> None:
        """Let the group begin: a store that never had it draws its first fence."""
        await self.set_clock()
        await self.store.sweep(GROUP)
        self.model.fence = await self.drawn_fence()

    async def drawn_fence(self) -> int:
        """Return the highest fence that the store has given."""
        return int(await self.store.link.command("HGET", keys.root(GROUP), "fence"))

    async def walk(self, steps: int, every: int = 1) -> None:
        """Take so many steps; compare the store and its model after `every` so many."""
        for _ in range(steps):
            if not self.number:
                await self.begin()
            self.number += 1
            if self.number % 200 == 1:
                await self.register()
            step = self.choose()
            await self.set_clock()
            done = await step()
            self.tail.append(f"{self.number} {getattr(step, '__name__', step)}: {done}")
            if self.number % every == 0:
                await self.compare()

    def choose(self) -> Step:
        """Choose the next step."""
        return self.random.choice(self.steps)

    async def compare(self) -> None:
        """Assert that the store holds what its model does, and that this may be."""
        shown = await picture.of_store(self.store)

        for part, expected in picture.of_model(self.model).items():
            assert (part, expected) == (part, shown[part])
        assert [] == picture.faults(self.model)
        await self.compare_service()

    async def compare_service(self) -> None:
        """Assert that since the last look each tenant was served for as long as its runs ran."""
        for used in await Usages(self.store.link).of(GROUP, TENANTS, at_ms=self.model.now):
            drift = used.service_ms - self.model.service(used.tenant)

            assert abs(drift - self.model.drift[used.tenant]) < GRID_MS // 2
            self.model.drift[used.tenant] = drift

    async def set_clock(self) -> None:
        """Let the store's time be that of the model; what a step takes does not add up."""
        skew = self.model.now - _CLOCK.now_ms()
        await self.store.link.command("HSET", keys.root(GROUP), "skew", skew)

    async def register(self) -> None:
        """Make the workers known, or known for longer."""
        for worker, handlers in WORKERS.items():
            await builders.register(self.store, worker, *handlers)
            self.model.served[worker] = handlers

    async def let_time_pass(self) -> str:
        """Let up to most of a lease pass."""
        ms = self.random.randint(1, 3) * GRID_MS
        self.model.now += ms
        return f"{ms} ms"

    # -- schedulers

    async def enqueue(self) -> str:
        """Enqueue an occurrence of a job that may be busy, sometimes one that was sent before."""
        resend = self.sent and self.random.random() < _RARE
        run = self.sent_before() if resend else self.occurrence()
        self.sent.append(run)
        expected = self.model.enqueue(run)

        assert [expected] == await builders.enqueue(self.store, run)
        self._note_refusal(expected[0], "queued")
        if expected[0] == "queued":
            self.attempts[run.job_id] = run.attempts
        return f"{run.job_id} {expected}"

    async def record(self) -> str:
        """Note that occurrences were not run; some of them, or all, may be noted or run already."""
        ref = f"{self.random.choice(TENANTS)}/{self.random.choice(list(HANDLERS))}"
        self.due += 2
        from_ms = self.due - self.random.choice([0, 1, 1, 40])
        to_ms = self.due - self.random.choice([0, 0, 30]) * (from_ms < self.due - 30)
        outcome = self.random.choice(["skipped", "missed"])
        note = Note(ref, outcome, "why", from_ms, max(from_ms, to_ms), 2, f"{ref}:way")
        word = self.model.record(note)

        assert [word] == await Recording(self.store).record(GROUP, note)
        self._note_refusal(word[0], "recorded")
        return f"{note}: {word}"

    def sent_before(self) -> Occurrence:
        """Return an occurrence of late; often one that is kept, for its result or its payload."""
        recent = self.sent[-_RECENT:]
        kept = [run for run in recent if run.job_id in self.model.runs]
        return self.random.choice(kept if kept and self.random.random() < 0.5 else recent)

    def occurrence(self) -> Occurrence:
        """Return an occurrence that is new or, rarely, an old one; rarely a triggered run."""
        tenant, job = self.random.choice(TENANTS), self.random.choice(list(HANDLERS))
        self.due += 1
        run = builders.occurrence(
            tenant,
            job,
            self.due if self.random.random() > _RARE else self.random.randint(DUE_MS, self.due),
            handler=HANDLERS[job],
            attempts=self.random.choice([1, ATTEMPTS, ATTEMPTS]),
            keep_ms=self.random.choice([0, 0, builders.HOUR_MS]),
        )
        if self.random.random() < _RARE:
            run = run._replace(job_id=f"{tenant}/{job}:manual-{self.due}", due_ms=0)
        return run

    async def sweep(self) -> str:
        """Queue what has rested, and take back what silent workers held."""
        rested, silent = self.model.rested(), self.model.silent()
        taken, _ = await self.store.sweep(GROUP)
        for job_id in await self._order(rested):
            self.model.promote(job_id)

        assert silent == {run.job_id for run in taken}
        assert taken == [self.model.rescue(run.job_id) for run in taken]
        return f"promoted {sorted(rested)}, rescued {taken}"

    async def _order(self, rested: set[str]) -> list[str]:
        """Return what was promoted in the order of the queues; the ms of a rest are no state."""
        queues = await self.lists() if rested else {}
        pointers = [
            i for name, queue in queues.items() if name not in (HANDLER, MAIL) for i in queue
        ]
        assert rested <= set(pointers)
        return sorted(rested, key=lambda job_id: _last(pointers, job_id))

    async def repair(self) -> str:
        """Do to the store what can't happen, mostly, and walk over it."""
        commands, expected = damage.NOTHING
        if not self.model.gated:
            commands, expected = damage.plan(self.model, self.random)
            expected = expected + damage.undouble(self.model)
        for command in commands:
            await self.store.link.command(*command)
        walk, repairs = Walk(GROUP, self.store), list[damage.Repair]()
        while not walk.over:
            repairs += await walk.step()
        self.model.now += GRID_MS  # a rest that was repaired is over now
        named = [(word, "" if " for " in name else name) for word, name in repairs]

        assert sorted(expected) == sorted(named)
        self.repairs.update(word for word, _ in repairs)
        return str(repairs)

    # -- workers

    async def claim(self) -> str:
        """Claim a few runs, sometimes twice by the same request, as when a reply was lost."""
        worker, n = self.random.choice(list(WORKERS)), self.random.randint(1, 4)
        self.requests += 1
        runs = await self.claim_for(worker, n)
        self.held += [(worker, run) for run in runs]
        if self.random.random() < _RARE:
            assert runs == await self.claim_for(worker, n)
        return f"{worker} {[(run.job_id, run.fence, run.attempt) for run in runs]}"

    async def claim_for(self, worker: str, n: int) -> list[Claimed]:
        """Claim up to `n` runs for one worker."""
        _, claims = await self.store.exchange(
            worker, [], [], {GROUP: n}, lease_ms=LEASE_MS, request=self.requests
        )
        lists = await self.lists()
        self.model.claim(worker, n, self.requests, claims[GROUP], lists)
        return claims[GROUP].runs

    async def lists(self) -> Lists:
        """Return the queues and the holds of the store."""
        names = {handler: keys.hold(GROUP, handler) for handler in (HANDLER, MAIL)}
        names |= {tenant: keys.queue(GROUP, tenant) for tenant in TENANTS}
        names |= {
            f"{tenant}@{handler}": keys.queue(GROUP, tenant, handler)
            for tenant in TENANTS
            for handler in (HANDLER, MAIL)
        }
        found = await self.store.link.pipeline([("LRANGE", key, 0, -1) for key in names.values()])
        ids = [[job_id.decode() for job_id in each] for each in found]
        return dict(zip(names, ids, strict=True))

    def pick(self) -> Claimed | None:
        """Return something that a worker thinks it holds; it may forget it then, or not."""
        if not self.held:
            return None
        place = self.random.randrange(len(self.held))
        return (self.held[place] if self.random.random() < _RARE else self.held.pop(place))[1]

    def waited_ms(self, run: Claimed) -> int:
        """Return how long a run waited in its worker, perhaps longer than since it was claimed."""
        waited_ms = run.fence % 3 * GRID_MS
        self.model.wait(run, waited_ms)
        return waited_ms

    async def complete(self) -> str:
        """Report that a run is over."""
        run = self.pick()
        return await self.report(run) if run else ""

    async def report(self, run: Claimed) -> str:
        """Report that a run is over, in one way or another."""
        outcome = self.random.choice(["succeeded", "dead", "dead", "cancelled"])
        waited_ms = self.waited_ms(run)
        word = self.model.complete(run, outcome)

        assert word == await builders.complete(self.store, run, outcome, waited_ms=waited_ms)
        self._note_refusal(word, "completed")
        return f"{run.job_id} {run.fence} {outcome}: {word}"

    async def retry(self) -> str:
        """Report that an attempt failed that was not the last."""
        run = self.pick()
        if not run or run.attempt >= ATTEMPTS:
            return await self.report(run) if run else ""
        rest_ms = self.random.choice(_RESTS)
        waited_ms = self.waited_ms(run)
        word = self.model.retry(run, rest_ms)

        assert word == await builders.retry(self.store, run, rest_ms, waited_ms=waited_ms)
        self._note_refusal(word, "retrying")
        return f"{run.job_id} {run.fence} {rest_ms} ms: {word}"

    async def release(self) -> str:
        """Give a run back."""
        run = self.pick()
        if not run:
            return ""
        rest_ms = self.random.choice([0, *_RESTS])
        word = self.model.release(run, rest_ms)
        args = (run.job_id, run.fence, rest_ms)

        assert [word] == (await self.store.ask([(Operation.RELEASE, GROUP, args)]))[0].words()
        self._note_refusal(word, "released")
        return f"{run.job_id} {run.fence} {rest_ms} ms: {word}"

    async def renew(self) -> str:
        """Renew some of what workers think they hold."""
        runs = [run for _, run in self.held if self.random.random() > _RARE]
        words = [self.model.renew(run.job_id, run.fence) for run in runs]
        cancel: list[Claimed] = []
        lost, unknown = await self.store.renew(runs, LEASE_MS, cancel.append)
        found = [
            "lost" if r in lost else "unknown" if r in unknown else "cancel" if r in cancel
            else "renewed"
            for r in runs
        ]  # fmt: skip

        assert words == found
        self.refused.update(word for word in words if word != "renewed")
        return f"{list(zip([(run.job_id, run.fence) for run in runs], words, strict=True))}"

    async def progress(self) -> str:
        """Tell that units of a run are committed, and hear which were before."""
        if not self.held:
            return ""
        _, run = self.random.choice(self.held)
        word, before = self.model.progress(run.job_id, run.fence, self.number)
        tally = Tally(items=self.number, position=self.number)
        units = message.encode([tally])
        told = await Noting(self.store).send(UnitsNote(run, asked=True, units=units))

        assert (word, before) == (told[run].word, sum(s.items for s in sums(told[run].units)))
        self._note_refusal(word, "noted")
        return f"{run.job_id} {run.fence} {self.number} items: {word}"

    async def hear(self) -> str:
        """Let the workers hear what they are to cancel."""
        intervention = Intervention(self.store)
        heard: list[str] = []
        for worker, tokens in self.model.tokens.items():
            while tokens:
                told = await intervention.listen(GROUP, worker)
                assert told
                heard.append(f"{told[1]} {told[0]}")
                assert tokens.pop(0) == heard[-1]
        return str(heard)

    # -- people

    async def cancel(self) -> str:
        """Cancel a run that may be in flight, over or unknown."""
        flying = [slot.run for slot in self.model.slots.values() if slot.run]
        rare = not flying or self.random.random() < _RARE
        job_id = self.some_run() if rare else self.random.choice(flying)
        word = self.model.cancel(job_id)

        assert {job_id: word} == await Intervention(self.store).cancel([(GROUP, job_id)])
        self._note_refusal(word, "cancelled")
        return f"{job_id}: {word}"

    def letter(self) -> str:
        """Return a dead letter, or sometimes a run that is none."""
        letters = sorted(self.model.dead)
        if letters and self.random.random() > _RARE:
            return self.random.choice(letters)
        return self.some_run()

    def some_run(self) -> str:
        """Return a run of late, in whatever state, or one that there never was."""
        return self.random.choice([run.job_id for run in self.sent[-_RECENT:]] + ["acme/import:no"])

    async def replay(self) -> str:
        """Try a dead letter again."""
        job_id = self.letter()
        words = self.model.replay(job_id)

        assert words == await Intervention(self.store).replay(GROUP, job_id)
        self._note_refusal(words[0], "queued")
        return f"{job_id}: {words}"

    async def purge(self) -> str:
        """Delete a dead letter."""
        job_id = self.letter()
        purged = self.model.purge(job_id)

        assert purged == await Intervention(self.store).purge(GROUP, job_id)
        return f"{job_id}: {purged}"

    def _note_refusal(self, word: str, usual: str) -> None:
        if word != usual:
            self.refused[word] += 1

    # -- the end

    async def drain(self) -> None:
        """Do only what brings runs to their end, and assert that all come there."""
        for _ in range(20):
            self.model.now += 4 * GRID_MS
            await self.set_clock()
            await self.sweep()
            for worker in WORKERS:
                await self.claim_and_succeed(worker)
        await self.compare()

        assert [] == self.model.of(State.QUEUED, State.HELD, State.RUNNING, State.RETRYING)

    async def claim_and_succeed(self, worker: str) -> None:
        """Let a worker do what it can get."""
        self.requests += 1
        for run in await self.claim_for(worker, 50):
            assert "completed" == self.model.complete(run, "succeeded")
            assert "completed" == await builders.complete(self.store, run, "succeeded")

    async def told(self) -> list[tuple[str, str]]:
        """Return job_id and outcome of each completion that was published, in that order."""
        entries = await self.store.link.command("XRANGE", keys.done(GROUP), "-", "+")
        found = [message.decode_completion(fields[b"completion"]) for _, fields in entries]
        return [(told.job_id, told.outcome) for told in found]


def _last(values: list[str], value: str) -> int:
    return len(values) - values[::-1].index(value)
