"""Takes the tasks that a planner yields to the store, many in one script."""

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from rota.common import message
from rota.common.message import JobRequest, Plan, Task
from rota.common.run import Claimed
from rota.common.state import Operation
from rota.common.store import Store


class Planned(NamedTuple):
    """What the store has of a plan."""

    tasks: int  # how many there are; -1 if the run is no longer ours
    wait_s: float  # seconds until the group's gate closes, and nothing was done; 0 if it is closed
    pace: float = 0.0  # ms that earlier tasks took for each unit of their size; 0 if unknown


class Planning:
    """The plan of one attempt of one run."""

    def __init__(self, store: Store, run: Claimed, request: JobRequest, handler: str) -> None:
        self._store = store
        self._run = run
        rules = request.tasks
        plan = Plan(
            handler=handler,
            attempts=request.retry.attempts,
            early=rules.early,
            at_once=rules.at_once,
            stagger_ms=rules.stagger_ms,
            paced=rules.time_ms > 0,
        )
        self._fixed = (message.encode(plan), message.encode(_for_each(request, handler)))

    async def add(self, before: int, tasks: Iterable[Task]) -> Planned:
        """Add tasks behind the first `before` of this plan; sent again they change nothing.

        Without tasks it begins the plan, and tells how many an earlier attempt has left to go on
        behind. Raises `StoreUnavailable` if no server answers.
        """
        rows = [value for task in tasks for value in (task.size, message.encode(task))]
        args = (self._run.job_id, self._run.fence, before, *self._fixed, *rows)
        (answer,) = await self._store.ask([(Operation.PLAN, self._run.group, args)])
        if answer.wait_ms:
            return Planned(0, answer.wait_ms / 1000)
        word, tasks_there, *pace = answer.values
        if word != b"planned":
            return Planned(-1, 0.0)
        return Planned(int(tasks_there), 0.0, float(pace[0] or 0))


def _for_each(request: JobRequest, handler: str) -> JobRequest:
    """Return what a worker is asked to do for each task, but for the task itself."""
    return JobRequest(
        tenant=request.tenant,
        job=request.job,
        handler=handler,
        args=msgspec.Raw(b"\x80"),
        timeout_ms=request.timeout_ms,
        kill_after_ms=request.kill_after_ms,
        retry=request.retry,
        retry_on=request.retry_on,
    )
