"""Begins runs, ends those that are to end, and counts how their attempts went."""

import asyncio
from collections import Counter
from collections.abc import Callable

from structlog.typing import FilteringBoundLogger

from rota.common.clock import Clock
from rota.common.metrics import Histogram
from rota.common.run import Ended, Resting
from rota.worker.execution import SLACK, Execution
from rota.worker.held import HeldRun
from rota.worker.lanes import Lanes

_BOUNDS = (0.01, 0.05, 0.25, 1, 5, 30, 60, 300, 1800, 3600, 14400)  # seconds

Report = Callable[[HeldRun, "Ended | Resting | None"], None]


class Runner:
    """Has runs carried out, so many at a time, and reports how each attempt ended."""

    def __init__(
        self,
        *,
        places: int,
        execution: Execution,
        report: Report,
        clock: Clock,
        log: FilteringBoundLogger,
    ) -> None:
        self._execution = execution
        self._report = report  # called once for each run that has begun, when its attempt has ended
        self._clock = clock
        self._log = log
        self.lanes = Lanes(places, attempt=execution.attempt, over=self._over, log=log)
        self.seconds = Histogram("rota_attempt_seconds", "How long attempts took.", _BOUNDS)
        self.counts: Counter[str] = Counter()  # of attempts, by outcome; or as lost, or released

    def begin(self, held: HeldRun) -> None:
        """Carry out a run as soon as there is a place for it."""
        self.lanes.add(held)

    def lose(self, held: HeldRun) -> None:
        """Stop a run whose lease has ended; nothing is written for it."""
        if self.lanes.drop(held):
            held.lost = True
            self._log.warning("lease_lost", job_id=held.run.job_id, attempt=held.run.attempt)
            self._over(held, None)
        elif not held.lost and held.task is not None and not held.task.done():
            held.lost = True
            self._log.warning("lease_lost", job_id=held.run.job_id, attempt=held.run.attempt)
            held.task.cancel()

    def cancel(self, held: HeldRun) -> None:
        """End a run that somebody cancelled, and report that; harmless if it has ended."""
        if held.task is None:
            held.cancelled = True  # if it waits for a place, its handler will not be called
        elif not held.cancelled and not held.lost and not held.task.done():
            held.cancelled = True
            self._log.info("run_cancelling", job_id=held.run.job_id)
            held.task.cancel()
            seconds = held.kill_after + SLACK
            asyncio.get_running_loop().call_later(seconds, self._execution.tell_stuck, held)

    def _over(self, held: HeldRun, outcome: Ended | Resting | None) -> None:
        self.counts[_word(held, outcome)] += 1
        self.seconds.observe(held.took(self._clock.monotonic()))
        self._report(held, None if held.lost or held.given_back else outcome)


def _word(held: HeldRun, outcome: Ended | Resting | None) -> str:
    """Return what an attempt counts as: nothing is written of one that is lost or given back."""
    if held.lost:
        return "lost"
    if held.given_back:
        return "released"
    if outcome is None:
        return "cancelled" if held.cancelled else "failed"
    return outcome.outcome if isinstance(outcome, Ended) else "retrying"
