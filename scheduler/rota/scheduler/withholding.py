"""Everything that may keep a job from running although it is due: pauses, blackouts, breakers."""

from rota.common.catalog import Slot
from rota.common.job import Job
from rota.common.ledger import Outcome
from rota.common.message import Completion
from rota.scheduler.breakers import Breakers
from rota.scheduler.pause_watch import PauseWatch
from rota.scheduler.withheld import Withheld, Withhold, by_blackout


class Withholding:
    """Asked for each occurrence. What an operator did comes first, then what was configured."""

    def __init__(self, pauses: PauseWatch, breakers: Breakers) -> None:
        self._pauses = pauses
        self._breakers = breakers

    def __call__(self, job: Job, due_ms: int) -> Withheld | None:
        """Return what withholds the occurrence of `job` at `due_ms`; None if nothing does."""
        paused = self._pauses.withheld(job, due_ms)
        if paused and paused.outcome is Outcome.PAUSED:
            return paused
        # What was due before a pause has that as its reason only if there is no other one.
        return by_blackout(job, due_ms) or self._breakers.withheld(job, due_ms) or paused

    def of(self, job: Job) -> Withhold | None:
        """Return what may withhold `job`; None if only its blackouts can, which others share."""
        own = self._pauses.concerns(job) or self._breakers.concerns(job)
        return self if own else None

    def take_up(self, job: Job, slot: Slot) -> None:
        """Take note of how a job fares that is led from now on."""
        self._breakers.note(job.ref, slot)

    def heard(self, completion: Completion, at_ms: int) -> None:
        """Take note of the end of a run of a job that is led."""
        self._breakers.heard(completion, at_ms)

    def leave(self, ref: str) -> None:
        """Forget TENANT/JOB: we lead it no more."""
        self._breakers.leave(ref)
