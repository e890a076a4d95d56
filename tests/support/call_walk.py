"""A random walk of calls: clients that place, wait, give up and come back; workers that do and die.

It has no model of the store: it remembers what it was told, and holds that against itself.
"""

from collections import Counter, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random

from rota.common import keys
from rota.common.calling import Calling, CallRun, Reply
from rota.common.intervention import Intervention
from rota.common.message import EXPIRED
from rota.common.run import Adoption, Claimed, Ended
from rota.common.scripts import GATE_MS
from rota.common.state import State
from rota.common.store import LEASE_MS, Store
from tests.support import backup, builders, called, recount
from tests.support.builders import GROUP, HANDLER, WORKER

INBOXES = ("c1", "c2", "c3")
Step = Callable[[], Awaitable[str]]


@dataclass(eq=False)
class Placed:
    """What is known of one call."""

    call: CallRun
    late_ms: float  # from when on it must not begin, by `CallWalk.now_ms`
    attempts: int = 0  # the number of the last one that began
    end: tuple[str, bytes] | None = None  # the outcome and result that were accepted
    heard: Counter[str] = field(default_factory=Counter)  # replies, by inbox
    again: bool = False  # whether it was made again after its time was over


class CallWalk:
    """Clients and workers around one group."""

    def __init__(self, store: Store, seed: int) -> None:
        self.store = store
        self.calling = Calling(store)
        self.random = Random(seed)
        self.now_ms = 0  # how far the clock was moved; in truth it is a little later
        self.number = 0  # of the latest call
        self.placed: dict[str, Placed] = {}
        self.held: list[Claimed] = []
        self.reported: deque[Ended] = deque(maxlen=20)
        self.accepted: deque[Ended] = deque(maxlen=20)  # of these a worker tells again after a loss
        self.tail: deque[str] = deque(maxlen=25)
        self.seen: Counter[str] = Counter()
        self.steps: list[Step] = [
            *[self.place] * 4, *[self.claim] * 5, *[self.work] * 10, *[self.attend] * 2,
            *[self.read] * 2, self.forgo, self.sweep, self.report_again, self.cancel,
        ]  # fmt: skip

    async def walk(self, steps: int) -> None:
        """Take so many steps."""
        await self.register()
        for number in range(steps):
            step = self.random.choice(self.steps)
            done = await step()
            self.seen[f"{step.__name__} {done.partition(' ')[0]}"] += 1
            self.tail.append(f"{number} {step.__name__}: {done}")
            assert {} == await recount.differences(self.store)

    async def register(self) -> None:
        """Let a worker serve what is called."""
        await builders.register(self.store, WORKER, HANDLER)

    async def place(self) -> str:
        """Place a call that may be new; it may be sent twice."""
        latest = max(0, self.number - 5)
        number = self.random.choice([self.number + 1, self.random.randint(latest, self.number)])
        self.number = max(self.number, number)
        call = called.call(
            number,
            self.random.choice(["acme", "beta"]),
            timeout_ms=self.random.choice([0, 20_000, 60_000]),
            inbox=self.random.choice([*INBOXES, ""]),
            attempts=self.random.choice([1, 3]),
        )
        words = [*await self.calling.place(GROUP, [call] * self.random.choice([1, 1, 2]))]
        late_ms = self.now_ms + call.timeout_ms if call.timeout_ms else float("inf")
        known = self.placed.get(call.job_id)
        if (
            known is None or words[0] == "queued"
        ):  # again only if its time was over, or nobody waited
            assert known is None or known.end in (None, ("cancelled", b"")), words
            assert "queued" == words[0], words
            self.placed[call.job_id] = Placed(call, late_ms, again=known is not None)
        else:
            known.late_ms = max(known.late_ms, late_ms)
        return f"{words} {call.job_id}"

    async def claim(self) -> str:
        """Claim a few; none of them may be too late."""
        runs = (await builders.claim(self.store, self.random.randint(1, 6))).runs
        for run in runs:
            known = self.placed[run.job_id]
            assert self.now_ms < known.late_ms, f"{run.job_id} is too late"
            assert known.end is None, f"{run.job_id} has ended"
            known.attempts = max(known.attempts, run.attempt)
            assert known.attempts <= 3
        self.held += runs
        return str([(run.job_id, run.fence) for run in runs])

    async def work(self) -> str:
        """Let a worker do something with what it holds."""
        if not self.held:
            return ""
        run = self.held.pop(self.random.randrange(len(self.held)))
        chance = self.random.random()
        if chance < 0.1:
            return f"died {run.job_id}"
        if chance < 0.2:
            await self.store.release([run])
            return f"released {run.job_id}"
        if chance < 0.4 and run.attempt < self.placed[run.job_id].call.attempts:
            rest_ms = self.random.choice([1, 30_000])
            return f"{await builders.retry(self.store, run, rest_ms)} {run.job_id}"
        outcome = self.random.choice(["succeeded", "succeeded", "dead", "cancelled"])
        result = f"{run.fence}".encode()
        body = builders.completion(run, outcome, beside=True)
        return await self.report(Ended(run, outcome, body, result))

    async def report(self, report: Ended) -> str:
        """Report an end; the first that is accepted is the call's."""
        self.reported.append(report)
        words, _ = await self.store.exchange(WORKER, [report], [], {})
        known = self.placed[report.run.job_id]
        if words[report.run.job_id] == "completed":
            told = (report.outcome, report.result)
            assert known.end in (None, told), f"{report.run.job_id} has ended twice"
            known.end = told
            self.accepted.append(report)
        return f"{words[report.run.job_id]} {report.outcome} {report.run.job_id}"

    async def report_again(self) -> str:
        """Report an end again, as when a reply was lost."""
        return await self.report(self.random.choice(self.reported)) if self.reported else ""

    async def attend(self) -> str:
        """Wait for some calls, perhaps those that another client waits for."""
        if not self.placed:
            return ""
        inbox, recent = self.random.choice(INBOXES), list(self.placed)[-12:]
        wanted = self.random.sample(recent, min(3, len(recent)))
        found = await self.calling.attend(GROUP, inbox, wanted, 1)
        self._check_unknown(found.unknown)
        for reply in found.replies:
            self._check_end(reply)
        return f"{inbox} {wanted}"

    async def read(self) -> str:
        """Read an inbox: each reply is told once."""
        inbox = self.random.choice(INBOXES)
        replies = await called.replies(self.store, inbox)
        for reply in replies:
            known = self.placed[reply.job_id]
            if not (known.again and _is_expired(reply)):  # else it may be that of its first end
                known.heard[inbox] += 1
                self._check_heard(known)
            self._check_end(reply)
        return f"{inbox} {[reply.job_id for reply in replies]}"

    def _check_heard(self, known: Placed) -> None:
        assert {1} == set(known.heard.values()), f"{known.call.job_id} was told twice"

    def _check_unknown(self, unknown: list[str]) -> None:
        assert [] == unknown

    def _check_end(self, reply: Reply) -> None:
        """Assert that a reply is the end that was accepted; nobody reported one of the store's."""
        known, outcome = self.placed[reply.job_id], reply.completion.outcome
        if known.again and _is_expired(reply):
            return
        if known.end is None:
            assert outcome in ("dead", "cancelled")  # expired, cancelled, or its worker was lost
            known.end = (outcome, reply.result)
        assert known.end == (outcome, reply.result)

    async def forgo(self) -> str:
        """Wait for a call no more."""
        if not self.placed:
            return ""
        inbox, job_id = self.random.choice(INBOXES), self.random.choice(list(self.placed)[-8:])
        await self.calling.forgo(GROUP, inbox, [job_id])
        return f"{inbox} {job_id}"

    async def cancel(self) -> str:
        """Cancel a call by hand, seldom."""
        if not self.placed or self.random.random() < 0.5:
            return ""
        job_id = self.random.choice(list(self.placed)[-8:])
        return str(await Intervention(self.store).cancel([(GROUP, job_id)]))

    async def sweep(self) -> str:
        """Let time pass, promote what has rested, and rescue what dead workers held."""
        await self.shift(self.random.choice([10, 5_000, 2 * LEASE_MS]))
        rescued, _ = await self.store.sweep(GROUP)
        return f"rescued {rescued}" if rescued else ""

    async def shift(self, ms: int) -> None:
        """Let time pass."""
        self.now_ms += ms
        await builders.shift(self.store, ms)

    async def drain(self) -> None:
        """Do only what brings calls to their end; each has exactly one, and who waits is told."""
        for _ in range(100):
            await self.claim()
            while self.held:
                await self.work()
            await self.shift(2 * LEASE_MS)
            await self.store.sweep(GROUP)
            if not recount.states(await builders.snapshot(self.store)):
                break
        for _ in range(3 * len(INBOXES)):
            await self.read()
        found = await self.calling.attend(GROUP, "c9", list(self.placed), 1)
        for reply in found.replies:
            self._check_end(reply)

        assert [] == found.waiting
        self._check_unknown(found.unknown)
        assert {} == await recount.differences(self.store)


def _is_expired(reply: Reply) -> bool:
    return reply.completion.error is not None and reply.completion.error.kind == EXPIRED


class LossyCallWalk(CallWalk):
    """The same on a store that loses its last writes, and whose workers tell it what they know."""

    def __init__(self, store: Store, seed: int) -> None:
        super().__init__(store, seed)
        self.saved: backup.Backup | None = None
        self.steps += [self.remember, self.remember, self.lose]

    async def remember(self) -> str:
        """Take a copy to go back to."""
        self.saved = await backup.take(self.store.link)
        self.accepted.clear()  # what is not younger than the copy is not lost
        return ""

    async def lose(self) -> str:
        """Lose what came after the copy; workers that live report again, then the gate closes."""
        if self.saved is None:
            return ""
        skew = await self.store.link.command("HGET", keys.root(GROUP), "skew")
        await backup.put_back(self.store.link, self.saved)
        if skew:
            await self.store.link.command("HSET", keys.root(GROUP), "skew", skew)
        await builders.change_server(self.store)
        await self.store.sweep(GROUP)
        for report in list(self.accepted):
            await self.store.exchange(WORKER, [report], [], {})
        self.held = [run for run in self.held if await self.bring_back(run)]
        self.saved = None
        self.reported.clear()
        await self.shift(GATE_MS)
        await self.register()
        await self._forget()
        return "lost"

    async def bring_back(self, run: Claimed) -> bool:
        """Renew, and adopt if need be; tell whether the worker holds it still."""
        lost, unknown = await self.store.renew([run])
        if unknown:
            known = self.placed[run.job_id].call
            adoption = Adoption(run, known.tenant, known.job, known.handler, known.attempts)
            lost += await self.store.adopt(WORKER, GROUP, [adoption])
        return not lost

    async def _forget(self) -> None:
        """Hold nothing against the store that it has lost, as it says at the end of the gate."""
        for job_id, known in list(self.placed.items()):
            state = await builders.state_of(self.store, job_id)
            if state is None:
                del self.placed[job_id]
            elif state not in (State.SUCCEEDED, State.DEAD, State.CANCELLED):
                # It may have ended, or have been made again, in what was lost.
                known.end, known.late_ms = None, float("inf")

    def _check_heard(self, known: Placed) -> None:
        """Accept that an end which was lost is told again."""
