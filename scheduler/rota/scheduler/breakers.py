"""Breakers: a job whose last runs all died rests, and is tried again from time to time.

Nothing but the job's slot tells of it, so that it outlives every scheduler: how many runs in a row
died, and when the last did.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from structlog.typing import FilteringBoundLogger

from rota.common.catalog import Catalog, Slot
from rota.common.job import Job
from rota.common.ledger import Outcome
from rota.common.message import Completion
from rota.common.service import Loop
from rota.scheduler.withheld import Withheld

_PERIOD = 2.0  # seconds between two looks at slots whose breakers are open


class Row(NamedTuple):
    """Runs in a row that died."""

    failures: int
    failed_ms: int  # when the last one did, by the store's clock


def is_open(job: Job, failures: int) -> bool:
    """Tell whether a job rests of which so many runs in a row have died."""
    return 0 < job.pause_after_failures <= failures


class Breakers(Loop):
    """The breakers of the jobs that we lead.

    What is heard counts at once. The slots of open ones are looked at again, because an operator
    may close them.
    """

    def __init__(
        self, *, catalog: Catalog, changed: Callable[[], None], log: FilteringBoundLogger
    ) -> None:
        super().__init__(log=log)
        self._catalog = catalog
        self._changed = changed
        self._jobs: dict[str, Job] = {}  # those that have a breaker, by TENANT/JOB
        self._rows: dict[str, Row] = {}  # of all jobs that are led
        self._open: set[str] = set()

    @property
    def open(self) -> int:
        """Return how many are open."""
        return len(self._open)

    def follow(self, jobs: Iterable[Job]) -> None:
        """Let these jobs have the breakers that they name."""
        self._jobs = {job.ref: job for job in jobs if job.pause_after_failures}
        for ref in {*self._rows, *self._open}:
            self._settle(ref)

    def note(self, ref: str, slot: Slot) -> None:
        """Take note of what the slot of TENANT/JOB tells; it is led by us."""
        self._set(ref, Row(slot.failures, slot.failed_ms))

    def heard(self, completion: Completion, at_ms: int) -> None:
        """Take note of the end of a run; of one that its slot has told already, nothing."""
        ref = completion.ref
        row = self._rows.get(ref)
        if completion.outcome == "succeeded" and row is not None:
            self._set(ref, Row(0, 0))
        elif completion.outcome == "dead" and (row is None or at_ms > row.failed_ms):
            self._set(ref, Row(row.failures + 1 if row else 1, at_ms))

    def leave(self, ref: str) -> None:
        """Forget TENANT/JOB: we lead it no more."""
        self._rows.pop(ref, None)
        self._open.discard(ref)

    def withheld(self, job: Job, due_ms: int) -> Withheld | None:
        """Return the rest in which the occurrence of `job` at `due_ms` falls, if there is one.

        With it goes whatever was due before, and was not sent: the job's turn comes after the rest.
        """
        row = self._rows.get(job.ref)
        if row is None or not is_open(job, row.failures):
            return None
        probe_ms = row.failed_ms + job.probe_after_ms
        if due_ms >= probe_ms:
            return None
        return Withheld(Outcome.BREAKER, f"{row.failures} runs in a row died", 0, probe_ms)

    def concerns(self, job: Job) -> bool:
        """Tell whether the breaker of `job` is open."""
        return job.ref in self._open

    async def turn(self) -> float | None:
        """Look whether an operator has closed one."""
        groups: dict[str, list[str]] = {}
        for ref in self._open:
            groups.setdefault(self._jobs[ref].group, []).append(ref)
        for group, refs in groups.items():
            before = {ref: self._rows.get(ref) for ref in refs}
            slots = await self._catalog.slots(group, refs)
            for ref, slot in zip(refs, slots, strict=True):
                # What was heard while we asked is newer.
                if ref in self._open and self._rows.get(ref) is before[ref]:
                    self.note(ref, slot)
        return _PERIOD if self._open else None

    def _set(self, ref: str, row: Row) -> None:
        if row.failures:
            if row != self._rows.get(ref):
                self._rows[ref] = row
        else:
            self._rows.pop(ref, None)
        self._settle(ref)

    def _settle(self, ref: str) -> None:
        job, row = self._jobs.get(ref), self._rows.get(ref)
        now_open = job is not None and row is not None and is_open(job, row.failures)
        if now_open == (ref in self._open):
            return
        tenant, _, name = ref.partition("/")
        if now_open and row:
            self._open.add(ref)
            self.log.warning("breaker_opened", tenant=tenant, job=name, failures=row.failures)
            self.wake()
        else:
            self._open.discard(ref)
            self.log.info("breaker_closed", tenant=tenant, job=name)
            self._changed()
