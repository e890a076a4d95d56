"""A job: one tenant's definition of recurring work, resolved from the configuration."""

import time
from typing import Any, Literal

import msgspec

Priority = Literal["high", "normal", "low"]
KILL_AFTER_MS = 10_000  # one object, so that a request need not carry it


class Retry(msgspec.Struct, frozen=True, kw_only=True):
    """How often a failing run is tried, and how long it rests between attempts."""

    attempts: int = 3  # attempts in all, the first included; at least 1
    backoff_ms: int = 10_000  # rest before the second attempt; doubles each time
    max_backoff_ms: int = 600_000  # the longest rest


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """When a job is due."""

    kind: Literal["cron", "every", "after"]  # crontab, fixed rate, fixed delay after completion
    cron: str = ""  # the five crontab fields, for kind `cron`
    period_ms: int = 0  # the rate or the delay, for kinds `every` and `after`
    timezone: str = "UTC"  # the IANA zone that `cron` is read in


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One recurring job of one tenant, with every default and template applied."""

    tenant: str
    name: str  # unique within the tenant
    group: str  # the tenant's group; one group is one placement unit in the store
    handler: str  # the name that a worker registered, never an import path
    schedule: Schedule
    args: dict[str, Any] = {}  # checked by the handler's own types before it is called
    timeout_ms: int = 900_000  # how long one attempt may run
    kill_after_ms: int = KILL_AFTER_MS  # how long it may take to end when it is told to
    retry: Retry = Retry()
    overlap: Literal["skip", "cancel"] = (
        "skip"  # what to do when due while the last run is not over
    )
    priority: Priority = "normal"  # among the queued runs of its own tenant

    @property
    def ref(self) -> str:
        """Return `TENANT/JOB`, the name that people and commands use."""
        return f"{self.tenant}/{self.name}"


def job_id(ref: str, due_ms: int, *, manual: bool = False) -> str:
    """Return the id of the run of one occurrence: the same occurrence always gives the same id.

    A run that somebody triggered by hand is marked, so that it never stands for an occurrence.
    """
    seconds, ms = divmod(due_ms, 1000)
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(seconds))
    return f"{ref}:{'manual-' if manual else ''}{stamp}{f'.{ms:03}' if ms else ''}Z"
