"""Drives one scenario: start everything, break things, let it settle, drain, take stock.

It decides nothing: the checker does, later, from what is written here.
"""

import asyncio
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from rota.common import keys, ledger
from rota.common.catalog import Catalog
from rota.common.errors import Refused, RotaError, StoreError
from rota.common.ledger import Attempts
from rota.common.link import Link
from rota.common.settings import Settings
from rota.common.store import Store
from rota.scheduler import trigger
from tests.chaos import history
from tests.chaos.faults import Field
from tests.chaos.fleet import Fleet
from tests.chaos.ledger import CLOCK, Ledger
from tests.chaos.scenarios import Scenario
from tests.chaos.server import ask
from tests.chaos.workload import GROUPS

SCHEDULERS, WORKERS = 2, 5
_START, _SETTLE, _DRAIN = 30.0, 90.0, 120.0  # seconds that each may take
_TRIGGER_EVERY = 0.3  # seconds
_LOOK_EVERY = 0.5  # seconds


class Plan(NamedTuple):
    """What to do and how much of it."""

    scenario: Scenario
    seed: int
    lease: float  # seconds
    faults: int  # stop after so many
    seconds: float  # or after so long


class Drive:
    """One scenario under way."""

    def __init__(self, plan: Plan, folder: Path, ledger: Ledger) -> None:
        self._plan = plan
        self._ledger = ledger
        self._random = Random(f"{plan.seed}:faults")
        self._work = plan.scenario.workload(folder, plan.seed, plan.lease)
        self._layout = plan.scenario.layout(folder, ledger, self._random)
        settings = Settings(
            lease=f"{round(plan.lease * 1000)}ms",
            durability="strict" if plan.scenario.strict else "standard",
        )
        self._fleet = Fleet(folder, self._layout, ledger, self._random, settings)
        self._link = Link(
            self._layout.url(), gate_ms=settings.gate_ms
        )  # an address that this version can't use ends here
        self._field = Field(
            random=self._random,
            ledger=ledger,
            layout=self._layout,
            fleet=self._fleet,
            config=self._work.path,
            lease=plan.lease,
        )

    async def run(self) -> None:
        """Go through all of it; leave nothing running."""
        try:
            await self._layout.start()
            await self._begin()
            aside = [asyncio.create_task(self._trigger()), asyncio.create_task(self._mend())]
            try:
                await self._break()
                await self._settle()
            finally:
                await _cancel(aside)
            await self._drain()
        finally:
            await _cancel(self._field.tasks)
            self._note_accepted()
            self._fleet.end()
            await self._link.close()
            await self._layout.stop()

    async def _begin(self) -> None:
        for planned in self._work.planned:
            self._ledger.note("job", **planned._asdict())
        for limit in self._work.limits():
            self._ledger.note("limit", **limit)
        for _ in range(SCHEDULERS):
            self._fleet.start_sched(self._work.path)
        for number in range(WORKERS):
            self._fleet.start_worker(number % self._plan.scenario.sides)
        begun = CLOCK.monotonic()
        if not await self._all_take_part(begun, _START, {"after"}):
            raise AssertionError(f"not all workers and jobs began within {_START} s of the start")

    async def _break(self) -> None:
        plan = self._plan
        end = CLOCK.monotonic() + plan.seconds
        names = list(plan.scenario.faults)
        weights = [weight for _, weight in plan.scenario.faults.values()]
        count = 0
        while count < plan.faults and CLOCK.monotonic() < end:
            (name,) = self._random.choices(names, weights)
            self._ledger.note("fault", kind=name)
            await plan.scenario.faults[name][0](self._field)
            await asyncio.sleep(self._random.uniform(*plan.scenario.pause))
            count += 1
        await asyncio.gather(*self._field.tasks)

    async def _settle(self) -> None:
        """Let the schedules go on until every job and every worker took part again."""
        since = self._ledger.note("faults_over")
        await self._all_take_part(since, _SETTLE, {"after", "every"})
        await asyncio.sleep(self._plan.scenario.watch)

    async def _all_take_part(self, since: float, within: float, kinds: set[str]) -> bool:
        planned = {each.job for each in self._work.planned if each.kind in kinds}
        while CLOCK.monotonic() < since + within:
            lines = history.read(self._fleet.audit_file)
            starts = [line for line in lines if line["event"] == "start" and line["at"] >= since]
            worked = {line["pid"] for line in starts} | {line["parent"] for line in starts}
            workers = {member.running.pid for member in self._fleet.at_work("worker")}
            if workers <= worked and planned <= {line["job"] for line in starts}:
                return True
            await asyncio.sleep(_LOOK_EVERY)
        return False

    async def _drain(self) -> None:
        """Let nothing become due any more, and wait until nothing is under way."""
        self._ledger.note("draining")
        scheds = self._fleet.at_work("sched")
        await asyncio.gather(*(self._fleet.retire(sched) for sched in scheds))
        self._fleet.start_sched(self._work.resting_path)
        end = CLOCK.monotonic() + _DRAIN
        counts = await self._counts()
        while any(counts.values()) and CLOCK.monotonic() < end:
            await asyncio.sleep(_LOOK_EVERY)
            counts = await self._counts()
        await asyncio.sleep(_LOOK_EVERY)  # handlers that lost their lease write their last words
        self._ledger.note(
            "final", counts=counts, drained=not any(counts.values()), **await self._stock()
        )

    async def _counts(self) -> dict[str, int]:
        totals = dict.fromkeys(("queued", "held", "running", "retrying"), 0)
        try:
            for group in GROUPS:
                counts = await Catalog(self._link).counts(group)
                totals["queued"] += counts.queued
                totals["held"] += sum(counts.held.values())
                totals["running"] += counts.running
                totals["retrying"] += counts.retrying
        except StoreError:
            return {"unknown": 1}
        return totals

    async def _stock(self) -> dict[str, Any]:
        """Return what the store holds in the end."""
        names = [
            (port, name.decode())
            for port in self._layout.masters()
            for name in await ask(port, "KEYS", "*")
        ]
        ours = [(port, name) for port, name in names if name.startswith("rota:")]
        records = [(port, name) for port, name in ours if ":j:" in name]
        states = {name: await ask(port, "HGET", name, "state") for port, name in records}
        dead = [await self._link.command("ZRANGE", keys.dead(g), 0, -1) for g in GROUPS]
        return {
            "keys": len(ours),
            "foreign": [name for _, name in names if not name.startswith("rota:")],
            "leaked": [n for n, state in states.items() if state not in (b"succeeded", b"dead")],
            "dead": [job_id.decode() for ids in dead for job_id in ids],
            "noted": await self._noted(),
            "permits": await self._permits([key for key in ours if _counts_permits(key[1])]),
        }

    async def _noted(self) -> dict[str, list[tuple[str, str, int]]]:
        """Return what the store's ledger holds of the runs of each job."""
        kept = ledger.Ledger(self._link)
        return {
            planned.job: [
                (entry.job_id, entry.outcome, entry.replays)
                for entry in await kept.of(planned.group, planned.job, CLOCK.now_ms())
                if isinstance(entry, Attempts)
            ]
            for planned in self._work.planned
        }

    async def _permits(self, found: list[tuple[int, str]]) -> dict[str, int]:
        """Return what counts as running, by whose count, where it is not 0."""
        counts: dict[str, int] = {}
        for port, key in found:
            if key.endswith(":running"):
                each = await ask(port, "HGETALL", key)
                counts |= {f"{key} {handler.decode()}": int(n) for handler, n in each.items()}
            else:
                counts[key] = int(await ask(port, "HGET", key, "running") or 0)
        return {name: n for name, n in counts.items() if n}

    async def _trigger(self) -> None:
        """Trigger jobs all the time; note those that were accepted."""
        random, store = Random(f"{self._plan.seed}:trigger"), Store(self._link)
        while True:
            job = random.choice(self._work.triggered)
            try:
                job_id = await trigger.trigger(job, store=store, clock=CLOCK)
            except Refused:
                pass  # its last run is not over
            except RotaError as error:
                self._ledger.note("unanswered", job=job.ref, error=str(error))
            else:
                self._ledger.note("accepted", job_id=job_id)
            await asyncio.sleep(_TRIGGER_EVERY)

    async def _mend(self) -> None:
        """Start again what ended by itself, as a process manager does."""
        while True:
            for member in self._fleet.casualties():
                self._field.replace(member)
            await asyncio.sleep(_LOOK_EVERY)

    def _note_accepted(self) -> None:
        behind = CLOCK.now_ms() / 1000 - CLOCK.monotonic()
        for job_id, unix in self._fleet.accepted().items():
            self._ledger.note("accepted", at=unix - behind, job_id=job_id)


async def drive(plan: Plan, folder: Path) -> None:
    """Carry out `plan`; leave the files `audit` and `ledger` in `folder`."""
    with Ledger(folder / "ledger") as ledger:
        await Drive(plan, folder, ledger).run()


def _counts_permits(key: str) -> bool:
    return key.endswith((":running", "}")) or "}:t:" in key


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
