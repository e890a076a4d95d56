"""What a worker tells about itself when it registers."""

from collections.abc import Iterable
from typing import Any

import msgspec

REGISTRATION_MS = 30_000  # a worker that is silent for so long is gone
SILENT_MS = 11_000  # so long after it registered a worker has missed two registrations


class HandlerInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One handler that a worker serves."""

    name: str
    isolation: str  # loop, thread or process
    schema: dict[str, Any]  # JSON Schema of the arguments
    tasks: str = ""  # the handler of the tasks that it plans; empty if it is no planner


class WorkerInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One worker process. Registered in each group that it serves, renewed every 5 s."""

    v: int = 1
    id: str  # HOST:PID:RANDOM, new at every start
    host: str
    pid: int
    groups: list[str]
    concurrency: int  # the most runs at a time
    started_ms: int  # wall time of the worker
    running: int = 0  # runs at the time of the last registration
    handlers: list[HandlerInfo] = []


def served(workers: Iterable[WorkerInfo]) -> set[str]:
    """Return the names of the handlers that these workers serve together."""
    return {handler.name for worker in workers for handler in worker.handlers}
