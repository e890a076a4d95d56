"""Up to when the occurrences of each job are accounted for, and notes on those that were not run.

The store's cursor of a job follows: behind it is what was enqueued or noted, or is about to be. So
what falls due is seen to leave no gap, whoever was held up or was not there.
"""

from collections.abc import Callable, Sequence

from rota.common.job import Job
from rota.common.ledger import Missed, Note, Outcome
from rota.common.run import Occurrence
from rota.scheduler.calendar import Span, spans
from rota.scheduler.withheld import Withhold

Told = Occurrence | Note


class Accounts:
    """The times of the jobs that are led, all in milliseconds since 1970."""

    def __init__(self, withhold_of: Callable[[Job], Withhold | None] = lambda _: None) -> None:
        self._withhold_of = withhold_of  # what may withhold a job beside its blackouts
        self._until: dict[str, int] = {}  # by TENANT/JOB
        self._since: dict[str, int] = {}  # from when on we lead it

    def begin(self, job: Job, until_ms: int, now_ms: int) -> None:
        """Note that `job`, led from now on, is accounted for until `until_ms`.

        For one that is led already, and was changed, nothing is opened again.
        """
        self._until[job.ref] = max(until_ms, self._until.get(job.ref, until_ms))
        self._since.setdefault(job.ref, now_ms)

    def close(self, job: Job, before_ms: int, way: str = "") -> list[Note]:
        """Return notes on what fell due before `before_ms` and is not accounted for, in order.

        It is then. `way` is the run that makes up for it. Nothing is known of a job that was not
        begun, and nothing is to be known of a fixed delay.
        """
        until_ms = self._until.get(job.ref)
        if until_ms is None or before_ms <= until_ms:
            return []
        self._until[job.ref] = before_ms - 1
        return self.notes(job, until_ms, before_ms - 1, way)

    def is_past(self, job: Job, due_ms: int) -> bool:
        """Tell whether a later occurrence than that at `due_ms` is accounted for."""
        return due_ms < self._until.get(job.ref, due_ms)

    def settle(self, job: Job, due_ms: int) -> None:
        """Note that `job` is accounted for until `due_ms`."""
        if due_ms > self._until.get(job.ref, due_ms):
            self._until[job.ref] = due_ms

    def notes(self, job: Job, after_ms: int, until_ms: int, way: str = "") -> list[Note]:
        """Return notes on all that fell due after `after_ms` and until `until_ms`."""
        since_ms = min(max(after_ms, self._since.get(job.ref, after_ms)), until_ms)
        withhold = self._withhold_of(job)
        down = spans(job, after_ms, since_ms, withhold)
        stalled = spans(job, since_ms, until_ms, withhold)
        return [
            *(_note(job, span, Missed.DOWN, way) for span in down),
            *(_note(job, span, Missed.STALLED, way) for span in stalled),
        ]

    def again(self, job: Job, cursor_ms: int, waiting: Sequence[Told]) -> list[Told]:
        """Return what is to be told of `job` by a store that is behind, with what was `waiting`.

        What it was told after `cursor_ms`, and has lost, is told as lost.
        """
        told: list[Told] = []
        for what in waiting:
            first_ms, last_ms = _ends(what)
            told += [_lost(job, span) for span in spans(job, cursor_ms, first_ms - 1)]
            told.append(what)
            cursor_ms = max(cursor_ms, last_ms)
        until_ms = self._until.get(job.ref, cursor_ms)
        return told + [_lost(job, span) for span in spans(job, cursor_ms, until_ms)]

    def forget(self, ref: str) -> None:
        """Forget TENANT/JOB: we do not lead it any more."""
        self._until.pop(ref, None)
        self._since.pop(ref, None)


def _ends(what: Told) -> tuple[int, int]:
    if isinstance(what, Note):
        return what.from_ms, what.to_ms
    return what.due_ms, what.due_ms


def _lost(job: Job, span: Span) -> Note:
    return Note(job.ref, Outcome.LOST, "", *span[:3])


def _note(job: Job, span: Span, missed: Missed, way: str) -> Note:
    if span.outcome:
        return Note(job.ref, span.outcome, span.detail, *span[:3])
    return Note(job.ref, Outcome.MISSED, missed, *span[:3], way)
