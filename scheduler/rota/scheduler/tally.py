"""Counts what became of occurrences, and how late runs are sent, since this scheduler started."""

from rota.common.clock import Clock
from rota.common.job_ids import is_triggered
from rota.common.ledger import Note, Outcome
from rota.common.message import Completion
from rota.common.metrics import Counter, Family, Histogram, count
from rota.common.run import Occurrence

_BOUNDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)  # seconds


class Tally:
    """Told of whatever the store has taken, and of each run that has ended."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._sent = 0
        self._outcomes = Counter(
            "rota_occurrences_total",
            "Occurrences of jobs that have come to their outcome, as in the ledger.",
            "outcome",
            tuple(Outcome),
        )
        self._lateness = Histogram(
            "rota_lateness_seconds",
            "From when an occurrence was due until the store had accepted its run.",
            _BOUNDS,
        )

    def told(self, what: Occurrence | Note, word: str) -> None:
        """Count what was told to the store, by the word that it answered."""
        if isinstance(what, Note):
            if word == "recorded" and what.from_ms:
                self._outcomes.add(what.outcome, what.times or 1)
        elif word == "shed":
            self._outcomes.add(Outcome.SHED)
        elif word == "queued":
            self._sent += 1
            self._lateness.observe(max(0, self._clock.now_ms() - what.due_ms) / 1000)

    def ended(self, completion: Completion) -> None:
        """Count the end of a run, if it stands for an occurrence."""
        if completion.outcome != "retrying" and not is_triggered(completion.job_id):
            self._outcomes.add(completion.outcome)

    def families(self) -> list[Family]:
        """Return what was counted."""
        sent = count("rota_enqueued_total", "Runs of occurrences that were enqueued.", self._sent)
        return [self._outcomes.family(), sent, self._lateness.family()]
