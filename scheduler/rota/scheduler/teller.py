"""Who passes on to the store, and to people, what the jobs' courses have to tell."""

from collections.abc import Sequence
from typing import Protocol

from rota.common.job import Job
from rota.common.ledger import Note
from rota.scheduler.line import Stretch, Turn


class Teller(Protocol):
    """Who passes on what a course has to tell. Each of the first two is answered once."""

    def fire(self, job: Job, turn: Turn) -> None:
        """Enqueue a run."""
        ...

    def note(self, job: Job, notes: Sequence[Note]) -> None:
        """Record what is not run."""
        ...

    def cancel(self, job: Job, run_id: str) -> None:
        """Cancel the run that is in the way."""
        ...

    def decided(self, job: Job, what: Stretch, *, waiting: bool) -> None:
        """Log what was found to overlap, or not to be run.

        `waiting` tells that the run in the way is not enqueued yet.
        """
        ...
