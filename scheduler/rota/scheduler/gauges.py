"""What a scheduler shows of its present state. Of jobs it counts those that it leads, no others.

So the sum over all schedulers is the number that there is.
"""

from collections.abc import Callable, Collection, Mapping, Sequence

from rota.common.job import Job
from rota.common.metrics import Family, gauge
from rota.scheduler.applied import Applied
from rota.scheduler.awaited import Awaited
from rota.scheduler.breakers import Breakers
from rota.scheduler.freshness import Freshness
from rota.scheduler.pause_watch import PauseWatch


class Gauges:
    """Reads what others know, when it is asked."""

    def __init__(
        self,
        *,
        awaited: Awaited,
        pauses: PauseWatch,
        breakers: Breakers,
        freshness: Freshness,
        led: Callable[[], Collection[str]],
    ) -> None:
        self._awaited = awaited
        self._pauses = pauses
        self._breakers = breakers
        self._freshness = freshness
        self._led = led  # the groups that we lead
        self._jobs: Mapping[str, Sequence[Job]] = {}
        self._paused: tuple[object, int] = (None, 0)  # of which version and groups, and how many

    def follow(self, applied: Applied) -> None:
        """Count these jobs from now on."""
        self._jobs = applied.jobs
        self._paused = (None, 0)

    def families(self, *, revision: int, ready: bool) -> list[Family]:
        """Return the present state."""
        led = [group for group in sorted(self._led()) if group in self._jobs]
        jobs = sum(len(self._jobs[group]) for group in led)
        return [
            gauge("rota_ready", "Whether /readyz says so.", ready),
            gauge("rota_config_revision", "The revision that is followed; 0: none.", revision),
            gauge("rota_groups_led", "Groups that this scheduler leads.", len(led)),
            gauge("rota_jobs", "Jobs of the groups that it leads; so below.", jobs),
            gauge("rota_jobs_paused", "Jobs that an operator has paused.", self._count(led)),
            gauge("rota_jobs_stale", "Jobs past their fresh_within.", self._freshness.stale),
            gauge("rota_breakers_open", "Jobs that rest after failures.", self._breakers.open),
            gauge("rota_runs_in_flight", "Runs whose end it awaits.", len(self._awaited)),
        ]

    def _count(self, led: list[str]) -> int:
        """Return how many jobs are paused; reckoned anew when anything has changed."""
        known = self._pauses.known
        if not known.all_lasting:
            return 0
        basis = (known.version, led)
        if self._paused[0] != basis:
            jobs = (job for group in led for job in self._jobs[group])
            self._paused = (basis, sum(known.over(job.ref) is not None for job in jobs))
        return self._paused[1]
