"""Carries out the backfills of a group that we lead: one run of a job at a time, behind live work.

What is left of a backfill is reckoned at each look from its entry in the store and the calendar, so
whoever takes the group over goes on with it.
"""

from collections.abc import Callable, Mapping

from structlog.typing import FilteringBoundLogger

from rota.common import message
from rota.common.backfills import Backfill, Backfills
from rota.common.catalog import Catalog
from rota.common.clock import Clock
from rota.common.job import Job, backfill_id
from rota.common.run import Occurrence
from rota.common.service import Loop
from rota.common.state import IN_FLIGHT
from rota.common.store import Store
from rota.scheduler import backfill
from rota.scheduler.engine import Engine
from rota.scheduler.withheld import Withhold

_PERIOD = 2.0  # seconds


class Backfiller(Loop):
    """Looks every 2 s, with one read that is tiny if there is no backfill, and when a run ends.

    A run goes only if its job is idle and nothing of it waits, nothing withholds it at the moment,
    and the group may have one more run that makes up for the past.
    """

    def __init__(
        self,
        group: str,
        *,
        store: Store,
        catalog: Catalog,
        engine: Engine,
        held: Mapping[str, Job],
        withhold: Withhold,
        term: Callable[[str], int],
        clock: Clock,
        log: FilteringBoundLogger,
    ) -> None:
        super().__init__(log=log)
        self._group = group
        self._store, self._catalog, self._engine = store, catalog, engine
        self._backfills = Backfills(store.link)
        self._held = held  # the jobs that we look after, by TENANT/JOB
        self._withhold = withhold
        self._term = term  # in which we lead the group; 0 if we do not
        self._clock = clock
        self._known: dict[str, Backfill] = {}

    def heard(self, ref: str) -> None:
        """Note that a run of TENANT/JOB has ended: the next one may go."""
        if ref in self._known:
            self.wake()

    async def turn(self) -> float:
        """Look once; end backfills that are done, and enqueue the runs that may go."""
        self._adopt(await self._backfills.of(self._group))
        free = await self._free()
        runs = []
        for ref, fill in list(self._known.items()):
            job = self._held.get(ref)
            if job is None or job.schedule.kind == "after":
                await self._drop(ref, fill, configured=job is not None)
            elif ref in free:
                due_ms = next(backfill.dues(job, fill.done_ms, fill.to_ms), None)
                if due_ms is None:
                    await self._end(ref, fill)
                elif self._may_go(job, fill):
                    runs.append(_run(job, fill, due_ms))
        return 0 if runs and await self._enqueue(runs) else _PERIOD

    async def stop(self) -> None:
        """End, and give permits back."""
        await super().stop()
        self._adopt({})

    def _adopt(self, found: dict[str, Backfill]) -> None:
        before, self._known = self._known, found
        numbers = {fill.number for fill in before.values()}
        for ref, fill in found.items():
            if fill.number not in numbers:
                self.log.info("backfill_found", **_told(ref, fill))
        for ref in before.keys() - found.keys():
            self._engine.give_back(self._group, _permit(ref))

    async def _free(self) -> set[str]:
        """Return those whose last run is over, if there was one; their permits are given back."""
        ids = [fill.last for fill in self._known.values()]
        states = await self._catalog.states(self._group, ids)
        pairs = zip(self._known, states, strict=True)
        free = {ref for ref, state in pairs if state not in IN_FLIGHT}
        for ref, fill in self._known.items():
            if ref in free:
                self._engine.give_back(self._group, _permit(ref))
            else:  # also one that another scheduler has enqueued
                self._engine.lend(self._group, _permit(ref), fill.last)
        return free

    def _may_go(self, job: Job, fill: Backfill) -> bool:
        if not self._engine.is_idle(job.ref) or self._withhold(job, self._clock.now_ms()):
            return False
        return self._engine.borrow(self._group, _permit(job.ref), str(fill.number))

    async def _enqueue(self, runs: list[Occurrence]) -> bool:
        """Enqueue what may go; tell whether to look again at once. The next look sees the rest."""
        term = self._term(self._group)
        if not term:
            return False
        words = (await self._store.enqueue({self._group: runs}, {self._group: term}))[self._group]
        for run, (word, _) in zip(runs, words, strict=True):
            if word == "queued":
                self.log.debug("backfill_run_enqueued", job_id=run.job_id)
        return any(word == "past" for word, _ in words)

    async def _end(self, ref: str, fill: Backfill) -> None:
        if await self._backfills.end(self._group, ref, fill.number):
            self.log.info("backfill_ended", **_told(ref, fill))
        self._adopt({each: other for each, other in self._known.items() if each != ref})

    async def _drop(self, ref: str, fill: Backfill, *, configured: bool) -> None:
        """Give up what can't be run any more, unless we have not heard of the job yet."""
        found = None if configured else await self._catalog.find(ref)
        if found is not None and found.group == self._group:
            return
        if await self._backfills.end(self._group, ref, fill.number):
            reason = "it has no calendar any more" if configured else "it is configured no more"
            self.log.warning("backfill_dropped", reason=reason, **_told(ref, fill))


def _run(job: Job, fill: Backfill, due_ms: int) -> Occurrence:
    body = message.encode(message.request_for(job))
    run_id = backfill_id(job.ref, fill.number, due_ms)
    run = Occurrence.of(job, run_id, due_ms=due_ms, keep_ms=0, body=body)
    return run._replace(priority="low", overlap="")


def _permit(ref: str) -> str:
    return f"{ref}:backfill"


def _told(ref: str, fill: Backfill) -> dict[str, object]:
    tenant, _, job = ref.partition("/")
    fields = {"number": fill.number, "runs": fill.total, "enqueued": fill.sent, "by": fill.by}
    return {"tenant": tenant, "job": job, **fields}
