"""The jobs of a chaos run, drawn by the seed: three groups of ten tenants, jobs of mixed kinds."""

from pathlib import Path
from random import Random
from typing import Any, Literal, NamedTuple

import msgspec

from rota.common.job import Job
from rota.scheduler import config

GROUPS = ("gold", "silver", "tin")
TENANTS = 10  # in each group
_NEVER = "0 0 29 2 *"  # due so seldom that only a trigger runs it
_DEFAULTS = {"timeout": "5m", "retry": {"attempts": 20, "backoff": "500ms", "max_backoff": "2s"}}

Kind = Literal["every", "after", "manual"]


class Planned(NamedTuple):
    """What the checker has to know of a job."""

    job: str  # TENANT/JOB
    group: str
    kind: Kind
    period_ms: int  # the rate or the delay; 0 for one that is only triggered


class Workload:
    """A configuration for the schedulers, and a second one under which nothing is due."""

    def __init__(self, folder: Path, seed: int, lease: float) -> None:
        self._random = Random(f"{seed}:workload")
        self._lease = lease
        self.path = folder / "busy.yaml"
        self.resting_path = folder / "resting.yaml"
        tenants = self._tenants()
        self._write(self.path, tenants)
        for tenant in tenants.values():
            tenant["jobs"] = {name: _resting(job) for name, job in _items(tenant["jobs"])}
        self._write(self.resting_path, tenants)
        self.jobs: list[Job] = config.load(self.path).jobs

    @property
    def planned(self) -> list[Planned]:
        """Return all jobs, as the checker must know them."""
        return [
            Planned(j.ref, j.group, _kind(j), j.schedule.period_ms if j.name != "hand" else 0)
            for j in self.jobs
        ]

    @property
    def triggered(self) -> list[Job]:
        """Return the jobs that run only when they are triggered."""
        return [job for job in self.jobs if job.name == "hand"]

    def limits(self) -> list[dict[str, Any]]:
        """Return each limit with the jobs that it holds for, as the checker must know them."""
        return []

    def _tenants(self) -> dict[str, Any]:
        return {
            f"{group}-{number}": {"group": group, "jobs": self._jobs(number)}
            for group in GROUPS
            for number in range(TENANTS)
        }

    def _rest(self) -> dict[str, Any]:
        """Return what the configuration says beside its defaults and tenants."""
        return {"groups": {group: {} for group in GROUPS}}

    def _jobs(self, number: int) -> dict[str, Any]:
        jobs = {
            "rate": self._job("nap", 0.05, 0.6, every=(4.0, 8.0)),
            "delay": self._job("grind", 0.05, 0.4, after=(2.0, 5.0)),
            "hand": self._by_hand(),
        }
        if number % 2:
            low = max(6.0, 0.8 * self._lease)
            jobs["long"] = self._job("nap", 1.0, 3.0, every=(low, 1.6 * low))
        if number == 0:
            jobs["aside"] = self._job("aside", 0.5, 1.5, after=(4.0, 6.0))
        elif number in (1, 2):
            handler = "nap" if number == 1 else "grind"
            low = 1.3 * self._lease  # longer than the lease, so that it lives by renewals
            jobs["marathon"] = self._job(handler, low, 1.2 * low, after=(1.0, 2.0))
        elif number % 3 == 0:
            jobs["flaky"] = self._job("flaky", 0.05, 0.3, after=(4.0, 6.0))
        return jobs

    def _by_hand(self) -> dict[str, Any]:
        return self._job("nap", 0.1, 1.0) | {"cron": _NEVER}

    def _job(
        self, handler: str, low: float, high: float, **schedule: tuple[float, float]
    ) -> dict[str, Any]:
        seconds = round(self._random.uniform(low, high), 2)
        due = {kind: f"{self._draw_ms(*span)}ms" for kind, span in schedule.items()}
        return {"handler": handler, "args": {"seconds": seconds}, **due}

    def _draw_ms(self, low: float, high: float) -> int:
        return round(self._random.uniform(low, high) * 10) * 100

    def _write(self, path: Path, tenants: dict[str, Any]) -> None:
        whole = {"defaults": _DEFAULTS, **self._rest(), "tenants": tenants}
        path.write_bytes(msgspec.json.format(msgspec.json.encode(whole)))  # JSON is YAML


def _items(jobs: Any) -> list[tuple[str, dict[str, Any]]]:
    return list(jobs.items())


def _resting(job: dict[str, Any]) -> dict[str, Any]:
    kept = {field: value for field, value in job.items() if field not in ("every", "after")}
    return kept | {"cron": _NEVER}


def _kind(job: Job) -> Kind:
    if job.schedule.kind == "after":
        return "after"
    return "every" if job.schedule.kind == "every" else "manual"
