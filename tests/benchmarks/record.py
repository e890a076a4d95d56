"""What became of the runs of a benchmark: their waits, and the service that each tenant got."""

from collections import Counter
from collections.abc import Collection, Mapping
from statistics import mean, quantiles

from tests.support.audit import Attempt, Audit


class Record:
    """The handlers' own word on when they ran, beside the client's on when it enqueued."""

    def __init__(self, audit: Audit, given: Mapping[str, float], places: int) -> None:
        self._audit = audit
        self._given = given
        self._places = places

    def unwell(self) -> list[str]:
        """Return what is wrong: runs that were not done exactly once, by name if there are few."""
        done = self._audit.done()
        missing = [job_id for job_id in self._given if not done.get(job_id)]
        again = self._audit.again()
        unknown = done.keys() - self._given.keys()
        found = {"not done": missing, "begun again": again, "not enqueued": unknown}
        return [f"{len(some)} {word}: {sorted(some)[:3]}" for word, some in found.items() if some]

    @property
    def runs(self) -> int:
        """Return how many runs were enqueued."""
        return len(self._given)

    def waits(self, tenants: Collection[str], since: float, until: float) -> list[float]:
        """Return seconds from enqueue to start of the tenants' runs enqueued in that time."""
        found = []
        for attempt in self._audit.attempts:
            given = self._given[attempt.job_id]
            if since <= given <= until and _tenant(attempt) in tenants:
                found.append(attempt.start - given)
        return found

    def mean_run(self, since: float, until: float) -> float:
        """Return how many seconds a run took that ended in that time, on average."""
        ended = [a for a in self._audit.attempts if since <= a.end <= until]
        return mean(attempt.end - attempt.start for attempt in ended)

    def service(self, since: float, until: float) -> Counter[str]:
        """Return the seconds for which each tenant's runs held places in that time."""
        found: Counter[str] = Counter()
        for attempt in self._audit.attempts:
            seconds = min(attempt.end, until) - max(attempt.start, since)
            found[_tenant(attempt)] += max(0.0, seconds)  # type: ignore[assignment]
        return found

    def used(self, since: float, until: float) -> float:
        """Return which part of all places' time was used."""
        return sum(self.service(since, until).values()) / self._places / (until - since)


def quantile(values: Collection[float], percent: int) -> float:
    """Return a percentile of the values."""
    return quantiles(values, n=100, method="inclusive")[percent - 1]


def _tenant(attempt: Attempt) -> str:
    return attempt.job.partition("/")[0]
