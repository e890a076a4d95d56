"""A random walk over runs with tasks and phases: workers that plan, execute, fail, die and repeat.

It has no model of the store; after each step it holds the store's parts against each other: no task
is lost or in two places, no run waits for nothing, no counter is wrong.
"""

from collections import Counter, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from rota.common import keys, message
from rota.common.intervention import Intervention
from rota.common.job import Phase, Retry, Tasks
from rota.common.message import JobRequest
from rota.common.run import Adoption, Claimed, Ended
from rota.common.scripts import GATE_MS
from rota.common.store import LEASE_MS, Store
from tests.support import backup, builders, fans, recount
from tests.support.builders import DUE_MS, GROUP, HANDLER, WORKER

JOBS = ("acme/one", "acme/two", "bolt/one")
SINGLE = "orders.post"
MOST = 45  # tasks of one plan: more than are queued at first
Step = Callable[[], Awaitable[str]]


@dataclass(eq=False)
class Work:
    """A run that a worker thinks it holds."""

    run: Claimed
    request: JobRequest
    sent: int = 0  # tasks that it has planned
    wanted: int = 0  # tasks that it is going to plan


class FanWalk:
    """Workers and people around one group."""

    def __init__(self, store: Store, seed: int) -> None:
        self.store = store
        self.random = Random(seed)
        self.due = DUE_MS
        self.held: list[Work] = []
        self.reported: deque[Ended] = deque(maxlen=30)
        self.tail: deque[str] = deque(maxlen=25)
        self.seen: Counter[str] = Counter()
        self.runs: list[str] = []
        self.steps: list[Step] = [
            *[self.enqueue] * 3, *[self.claim] * 8, *[self.work] * 24, *[self.replay] * 2,
            self.sweep, self.report_again, self.cancel_run, self.cancel_task,
        ]  # fmt: skip

    async def walk(self, steps: int) -> None:
        """Take so many steps."""
        for number in range(steps):
            if number % 100 == 0:
                await builders.register(
                    self.store, WORKER, HANDLER, SINGLE, fans.TASK, fans.MEND.handler
                )
            step = self.random.choice(self.steps)
            done = await step()
            self.seen[f"{step.__name__} {done.partition(' ')[0]}"] += 1
            self.tail.append(f"{number} {step.__name__}: {done}")
            await self.check()

    async def enqueue(self) -> str:
        """Enqueue a run of a job that may be busy, with phases or none."""
        tenant, _, job = self.random.choice(JOBS).partition("/")
        self.due += 1
        retry = Retry(attempts=self.random.choice([1, 3]))
        handlers = self.random.choices([HANDLER, SINGLE], k=self.random.choice([0, 0, 1, 2]))
        phases = [Phase(handler=name, retry=retry, tasks=self.rules()) for name in handlers]
        request = JobRequest(
            tenant=tenant,
            job=job,
            handler=HANDLER,
            retry=retry,
            tasks=self.rules(),
            phases=tuple(phases),
            on_failure=self.random.choice([None, fans.MEND]),
        )
        run = builders.occurrence(
            tenant, job, self.due, body=message.encode(request), attempts=retry.attempts
        )
        (word,) = await builders.enqueue(self.store, run)
        self.runs.append(run.job_id)
        return f"{word[0]} {run.job_id}"

    def rules(self) -> Tasks:
        """Return what binds the tasks of a phase."""
        return Tasks(
            early=self.random.random() < 0.3,
            at_once=self.random.random() < 0.3,
            stagger_ms=self.random.choice([0, 0, 0, 1]),
        )

    async def claim(self) -> str:
        """Claim a few runs."""
        runs = (await builders.claim(self.store, self.random.randint(1, 12))).runs
        for run in runs:
            request = message.decode_request(run.body)
            # The same at each attempt: tasks that run early must not be doubled.
            wanted = Random(f"{run.job_id} {request.phase}").randint(0, MOST)
            self.held.append(Work(run, request, 0, wanted))
        return str([(run.job_id, run.fence) for run in runs])

    async def work(self) -> str:
        """Let a worker do something with what it holds."""
        if not self.held:
            return ""
        work = self.random.choice(self.held)
        chance = self.random.random()
        if chance < 0.05:
            self.held.remove(work)  # it dies
            return f"died {work.run.job_id}"
        if chance < 0.12:
            return await self.fail(work)
        if work.request.handler == HANDLER and work.request.task is None:
            return await self.plan(work)
        goes_on = bool(work.request.phases or work.request.phase > 1)
        return await self.end(work, 0 if goes_on and work.request.task is None else None)

    async def plan(self, work: Work) -> str:
        """Plan a few tasks, or say that these are all."""
        planning = fans.planning(self.store, work.run)
        if work.sent == 0:
            work.sent = (await planning.add(0, [])).tasks
        if 0 <= work.sent < work.wanted:
            count = min(self.random.randint(1, 20), work.wanted - work.sent)
            tasks = [
                fans.task(work.sent + n, self.random.randint(1, 9)) for n in range(1, count + 1)
            ]
            for _ in range(self.random.choice([1, 1, 2])):  # a reply may be lost
                there = (await planning.add(work.sent, tasks)).tasks
            if there == work.sent + count:
                work.sent = there
                return f"planned {work.run.job_id} {there}"
            work.sent = -1
        if work.sent < 0:
            self.held.remove(work)
            return f"lost {work.run.job_id}"
        return await self.end(work, work.sent)

    async def end(self, work: Work, tasks: int | None) -> str:
        """Report that an attempt succeeded."""
        self.held.remove(work)
        goes_on = tasks or work.request.phases or work.request.phase > 1
        report = Ended(
            work.run, "succeeded", builders.completion(work.run), b"", tasks if goes_on else None
        )
        return await self.report(report)

    async def fail(self, work: Work) -> str:
        """Report that an attempt failed, or give the run back."""
        self.held.remove(work)
        if self.random.random() < 0.3:
            await self.store.release([work.run])
            return f"released {work.run.job_id}"
        if work.run.attempt < work.request.retry.attempts:
            return f"{await builders.retry(self.store, work.run, 1)} {work.run.job_id}"
        return await self.report(
            builders.ended(work.run, self.random.choice(["dead", "cancelled"]))
        )

    async def report(self, report: Ended) -> str:
        """Report an end; count the tasks whose success was accepted."""
        self.reported.append(report)
        words, _ = await self.store.exchange(WORKER, [report], [], {})
        word = words[report.run.job_id]
        return f"{word} {report.outcome} {report.run.job_id} {report.run.fence}"

    async def report_again(self) -> str:
        """Report an end again, as when a reply was lost."""
        if not self.reported:
            return ""
        report = self.random.choice(self.reported)
        words, _ = await self.store.exchange(WORKER, [report], [], {})
        return f"{words[report.run.job_id]} {report.run.job_id}"

    async def sweep(self) -> str:
        """Let time pass, promote what has rested, and rescue what dead workers held."""
        await builders.shift(self.store, self.random.choice([10, 10, 2 * LEASE_MS]))
        rescued, _ = await self.store.sweep(GROUP)
        return str(rescued)

    async def cancel_run(self) -> str:
        """Cancel a run of late, seldom."""
        return await self.cancel(self.random.choice(self.runs[-6:]) if self.runs else "")

    async def cancel_task(self) -> str:
        """Cancel a task that somebody holds."""
        tasks = [w.run.job_id for w in self.held if w.request.task]
        return await self.cancel(self.random.choice(tasks) if tasks else "")

    async def cancel(self, job_id: str) -> str:
        """Cancel, and let the worker hear of it."""
        if not job_id or self.random.random() < 0.5:
            return ""
        word = (await Intervention(self.store).cancel([(GROUP, job_id)]))[job_id]
        while await self.store.link.command("EXISTS", keys.control(GROUP, WORKER)):
            told = await Intervention(self.store).listen(GROUP, WORKER)
            assert told
            for work in [w for w in self.held if (w.run.job_id, w.run.fence) == told]:
                self.held.remove(work)
                await self.report(builders.ended(work.run, "cancelled"))
        return f"{word} {job_id}"

    async def replay(self) -> str:
        """Try a dead letter again."""
        letters = await self.store.link.command("ZRANGE", keys.dead(GROUP), 0, -1)
        if not letters:
            return ""
        job_id = self.random.choice(letters).decode()
        return str((await Intervention(self.store).replay(GROUP, job_id))[0]) + f" {job_id}"

    # -- what must hold

    async def check(self) -> None:
        """Hold the parts of the store against each other."""
        space = await builders.snapshot(self.store)
        should, found = recount.recount(space), recount.counted(space)
        wrong = {k: (v, found[k]) for k, v in should.items() if v != found[k]}
        assert not wrong, wrong
        roots, runs = _of(space, keys.fan(GROUP, "")), _of(space, keys.run(GROUP, ""))
        for root, fan in roots.items():
            self._check_fan(space, runs, root, fan)
        for job_id, record in runs.items():
            root = job_id.partition("#")[0]
            assert root in {job_id, *roots} or record[b"state"] == b"running", f"{job_id} is alone"
            assert record[b"state"] != b"fanned" or root in roots
        fanned = {i.encode() for i, record in runs.items() if record[b"state"] == b"fanned"}
        assert fanned == (told := set(space.get(keys.fanned(GROUP), ("", []))[1])), told
        for prefix in (keys.todo, keys.again, keys.live, keys.over, keys.died, keys.bad):
            assert set(_of(space, prefix(GROUP, ""))) <= set(roots)

    def _check_fan(
        self, space: dict[str, Any], runs: dict[str, Any], root: str, fan: dict[bytes, bytes]
    ) -> None:
        record = runs.get(root)
        assert record, f"{root} has tasks and is gone"
        first, planned = int(fan[b"base"]) + 1, int(fan[b"planned"])
        live = {int(n) for n in space.get(keys.live(GROUP, root), ("", []))[1]}
        todo = {int(m[:8]) for m in space.get(keys.todo(GROUP, root), ("", {}))[1]}
        over = _bits(space.get(keys.over(GROUP, root), ("", b""))[1])
        died = _bits(space.get(keys.died(GROUP, root), ("", b""))[1])
        places = [live, todo, over, died]
        assert set(range(first, first + planned)) == set().union(*places)
        self._check_places(root, places)
        ended = sum(int(fan[name]) for name in (b"succeeded", b"dead", b"cancelled"))
        assert len(over | died) == ended
        for number in live:
            task = f"{root}#{fan[b'phase'].decode()}.{number}"
            assert task in runs, f"{task} is gone"
        if record[b"state"] == b"fanned":
            assert live, f"{root} waits for nothing"

    def _check_places(self, root: str, places: list[set[int]]) -> None:
        assert sum(map(len, places)) == len(set().union(*places)), f"a task of {root} is doubled"

    async def drain(self) -> None:
        """Do only what brings runs to their end, and assert that all come there."""
        for _ in range(400):
            while self.held:
                work = self.held[0]
                if work.request.handler == HANDLER and work.request.task is None:
                    await self.plan(work)
                else:
                    goes_on = work.request.phases or work.request.phase > 1
                    await self.end(work, 0 if goes_on and not work.request.task else None)
            await builders.shift(self.store, 100)
            await self.store.sweep(GROUP)
            await self.claim()
            await self.check()
            if not self.held and not recount.states(await builders.snapshot(self.store)):
                break
        else:
            await builders.shift(self.store, 2 * LEASE_MS)
        flying = recount.states(await builders.snapshot(self.store))

        assert {} == flying


class LossyFanWalk(FanWalk):
    """The same on a store that loses its last writes, and whose workers tell it what they know."""

    def __init__(self, store: Store, seed: int) -> None:
        super().__init__(store, seed)
        self.saved: backup.Backup | None = None
        self.steps += [self.remember, self.remember, self.lose]

    async def remember(self) -> str:
        """Take a copy to go back to."""
        self.saved = await backup.take(self.store.link)
        self.reported.clear()  # what is not younger than the copy is not lost
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
        for report in list(self.reported):
            await self.store.exchange(WORKER, [report], [], {})
        lost = [work for work in self.held if not await self.bring_back(work)]
        self.held = [work for work in self.held if work not in lost]
        await self.check()
        await builders.shift(self.store, GATE_MS)
        await builders.register(self.store, WORKER, HANDLER, SINGLE, fans.TASK, fans.MEND.handler)
        self.saved = None
        return f"lost {len(lost)}"

    async def bring_back(self, work: Work) -> bool:
        """Renew, and adopt if need be; tell whether the worker holds it still."""
        lost, unknown = await self.store.renew([work.run])
        request = work.request
        if unknown:
            adoption = Adoption(
                work.run, request.tenant, request.job, request.handler, request.retry.attempts
            )
            lost += await self.store.adopt(WORKER, GROUP, [adoption])
        return not lost

    def _check_places(self, root: str, places: list[set[int]]) -> None:
        """Accept that a task which was brought back is in the plan, too: it is left out there."""


def _of(space: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {
        name.removeprefix(prefix): value
        for name, (_, value) in space.items()
        if name.startswith(prefix)
    }


def _bits(text: bytes) -> set[int]:
    return {i * 8 + k for i, byte in enumerate(text) for k in range(8) if byte & (0x80 >> k)}
