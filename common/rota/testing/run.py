"""A run that has ended, as a test looks at it."""

from datetime import datetime
from typing import Any

import msgspec

from rota.common import clock, job_ids
from rota.common.message import Completion, Failure


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one run."""

    job_id: str
    tenant: str
    job: str  # the job's name within the tenant
    outcome: str  # succeeded, dead or cancelled
    attempts: int
    due: datetime | None  # as `ctx.due`: when it was due, or triggered; UTC; None for a call
    ended: datetime  # the same
    result: Any = None  # what the handler returned, as callers get it
    errors: list[Failure] = []  # of the attempts that failed, in order
    dead_task: Completion | None = None  # the first of its tasks that died, with its `error`

    @property
    def ref(self) -> str:
        """Return `TENANT/JOB`."""
        return f"{self.tenant}/{self.job}"

    @property
    def error(self) -> Failure | None:
        """Return why it failed; None if it succeeded, in whichever attempt."""
        return self.errors[-1] if self.errors and self.outcome != "succeeded" else None

    def check(self) -> "Run":
        """Return the run if it succeeded; raises `AssertionError` with the handler's traceback."""
        if self.outcome != "succeeded":
            raise AssertionError(self.text())
        return self

    def text(self) -> str:
        """Return it for people: the traceback of each attempt that failed, and of a dead task."""
        lines = [_headline(self, self.attempts), *map(_said, self.errors)]
        if self.dead_task and self.dead_task.error:
            lines += [
                _headline(self.dead_task, self.dead_task.attempt),
                _said(self.dead_task.error),
            ]
        return "\n".join(lines)


def _headline(ended: Run | Completion, attempts: int) -> str:
    times = "attempt" if attempts == 1 else "attempts"
    return f"{ended.job_id} {ended.outcome} after {attempts} {times}"


def _said(error: Failure) -> str:
    return error.traceback.rstrip() or f"{error.kind}: {error.message}"


class Runs:
    """All runs that have ended, in order."""

    def __init__(self) -> None:
        self.ended: list[Run] = []
        self.results: dict[str, bytes] = {}  # of runs whose end is not heard of yet, by job_id
        self.dead_tasks: dict[str, Completion] = {}  # the first of each of these runs
        self._errors: dict[str, list[Failure]] = {}

    def heard(self, _group: str, completion: Completion, at_ms: int) -> None:
        """Take note of the end of an attempt."""
        run_id = completion.job_id
        errors = self._errors.setdefault(run_id, [])
        if completion.error is not None:
            errors.append(completion.error)
        if completion.outcome == "retrying":
            return
        del self._errors[run_id]
        due_ms = job_ids.due_of(run_id.partition(":")[2].removeprefix("manual-"))
        result = self.results.pop(run_id, b"")
        self.ended.append(
            Run(
                job_id=run_id,
                tenant=completion.tenant,
                job=completion.job,
                outcome=completion.outcome,
                attempts=completion.attempt,
                due=clock.utc(due_ms) if due_ms else None,
                ended=clock.utc(at_ms),
                result=msgspec.msgpack.decode(result) if result else None,
                errors=errors,
                dead_task=self.dead_tasks.pop(run_id, None),
            )
        )

    def of(self, ref: str | None) -> list[Run]:
        """Return the runs of TENANT/JOB, or all."""
        return [run for run in self.ended if ref in (None, run.ref)]

    def find(self, run_id: str) -> Run | None:
        """Return the last run of this id that has ended."""
        return next((run for run in reversed(self.ended) if run.job_id == run_id), None)
