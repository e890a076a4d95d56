"""A job: one tenant's definition of recurring work, resolved from the configuration."""

import time
from functools import lru_cache
from typing import Any, Literal

import msgspec

Priority = Literal["high", "normal", "low"]
Gap = Literal["run_after", "skip"]
Fold = Literal["first", "second", "both"]
Overlap = Literal["skip", "queue_one", "queue_all", "cancel", "allow"]
Misfire = Literal["once", "all", "skip"]

PROBE_AFTER_MS = 600_000
# Each one object, so that a request need not carry what is usual.
TIMEOUT_MS = 900_000
KILL_AFTER_MS = 10_000


class Retry(msgspec.Struct, frozen=True, kw_only=True):
    """How often a failing run is tried, and how long it rests between attempts."""

    attempts: int = 3  # attempts in all, the first included; at least 1
    backoff_ms: int = 10_000  # rest before the second attempt; doubles each time
    max_backoff_ms: int = 600_000  # the longest rest


RETRY = Retry()


class Tasks(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the tasks of a planner must keep to."""

    max_size: float = 0.0  # of one task, in the unit of the planner's sizes; 0 is no limit
    time_ms: int = 0  # that one should take: its size follows once it is learnt; 0: never
    alone: bool = False  # a spec above it that can't be split is a task; else planning fails
    early: bool = False  # tasks run while planning goes on; else when all are planned
    at_once: bool = False  # a dead task stops the others; else they go on
    stagger_ms: int = 0  # from the start of one task to that of the next


FREE = Tasks()  # what binds no task


class Phase(msgspec.Struct, frozen=True, kw_only=True):
    """One of the steps that a run passes, each by a handler of its own."""

    handler: str
    timeout_ms: int = TIMEOUT_MS  # how long one attempt may run
    retry: Retry = RETRY
    retry_on: tuple[str, ...] = ()  # names of errors; others are final. None: all are tried again
    tasks: Tasks = FREE
    args: dict[str, Any] | None = None  # instead of those of the first phase; None: these


class Schedule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """When a job is due. Texts are as written in the configuration, and were checked there."""

    # crontab, fixed rate, fixed delay after completion, once, once a day within a window, on the
    # success of another job
    kind: Literal["cron", "every", "after", "at", "between", "on"]
    cron: str = ""  # the five crontab fields, for kind `cron`
    period_ms: int = 0  # the rate or the delay, for kinds `every` and `after`
    phase_ms: int | None = None  # for `every`: where in the period, from 1970 on; None: by hash
    at: str = ""  # `2026-12-24 18:00`, for kind `at`
    between: str = ""  # `mon-fri 02:00..04:00`, for kind `between`
    completed: str = ""  # the tenant's job whose success starts it, for kind `on`
    jitter_ms: int = 0  # each occurrence is due later by the job's own share of this, by hash
    timezone: str = "UTC"  # the IANA zone of `cron`, `at`, `between` and of the blackouts
    gap: Gap | None = None  # what becomes of times that the clock skips; None: as the kind has it
    fold: Fold | None = None  # which of the times that the clock repeats; None: as the kind has it


class Blackout(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A time in which nothing of a job falls due: a recurring window, or from a start to an end."""

    between: str = ""  # `mon-fri 08:00..18:00`
    start: str = ""  # `2026-12-24 00:00`, on the clock of the job's zone
    end: str = ""  # the same, not included
    reason: str = ""  # why, for people

    @property
    def text(self) -> str:
        """Return when it is, as one writes it, and why."""
        when = self.between or f"{self.start} to {self.end}"
        return f"{when} ({self.reason})" if self.reason else when


class Job(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One recurring job of one tenant, with every default and template applied."""

    tenant: str
    name: str  # unique within the tenant
    group: str  # the tenant's group; one group is one placement unit in the store
    handler: str  # the name that a worker registered, never an import path
    schedule: Schedule
    blackouts: tuple[Blackout, ...] = ()  # the tenant's and the defaults', or the job's own
    args: dict[
        str, Any
    ] = {}  # of the first phase; checked by the handler's own types before it is called
    timeout_ms: int = TIMEOUT_MS  # how long one attempt may run
    kill_after_ms: int = KILL_AFTER_MS  # how long it may take to end when it is told to
    retry: Retry = RETRY
    retry_on: tuple[str, ...] = ()  # as in `Phase`
    tasks: Tasks = FREE
    phases: tuple[Phase, ...] = ()  # behind the first one, which is described by the fields above
    on_failure: Phase | None = None  # what is called, once, when a phase has failed
    overlap: Overlap = "skip"  # what to do when due while the last run is not over
    misfire: Misfire = "once"  # what to do with what nobody sent when it was due
    max_lateness_ms: int = 0  # what is later than that is not run any more; 0 is no limit
    max_catch_up: int = 100  # how many may wait for the last run, or are made up for
    pause_after_failures: int = 0  # dead runs in a row that open its breaker; 0: it has none
    probe_after_ms: int = PROBE_AFTER_MS  # how long it rests then, until one run is tried
    fresh_within_ms: int = 0  # how old its last success may be; 0: as old as can be
    priority: Priority = "normal"  # among the queued runs of its own tenant

    @property
    def calls(self) -> list[tuple[str, dict[str, Any]]]:
        """Return handler and args of each phase and, as the last, of the one for failures."""
        later = (*self.phases, *([self.on_failure] if self.on_failure else []))
        own = [(each.handler, self.args if each.args is None else each.args) for each in later]
        return [(self.handler, self.args), *own]

    @property
    def handlers(self) -> tuple[str, ...]:
        """Return the handlers of all phases, and the one for failures, each once."""
        return tuple(dict.fromkeys(handler for handler, _ in self.calls))

    @property
    def ref(self) -> str:
        """Return `TENANT/JOB`, the name that people and commands use."""
        return f"{self.tenant}/{self.name}"


def job_id(ref: str, due_ms: int, *, manual: bool = False) -> str:
    """Return the id of the run of one occurrence: the same occurrence always gives the same id.

    A run that somebody triggered by hand is marked, so that it never stands for an occurrence.
    """
    return f"{ref}:{'manual-' if manual else ''}{_stamp(due_ms)}"


def backfill_id(ref: str, number: int, due_ms: int) -> str:
    """Return the id of a run that a backfill has of the occurrence at `due_ms`.

    `number` is the backfill's own, so that a later one runs the same occurrence again.
    """
    return f"{ref}:backfill-{number}-{_stamp(due_ms)}"


def _stamp(due_ms: int) -> str:
    seconds, ms = divmod(due_ms, 1000)
    return f"{_second(seconds)}{f'.{ms:03}' if ms else ''}Z"


@lru_cache(maxsize=256)
def _second(seconds: int) -> str:
    # What is due together is told of together, several times.
    return time.strftime("%Y%m%dT%H%M%S", time.gmtime(seconds))
