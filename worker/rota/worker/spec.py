"""What a planner yields: one piece of the work, as large as it happens to be."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from rota.worker.failure import Fatal

Split = range | Sequence[Any] | Callable[[float], Iterable["TaskSpec"]]


class BadSpec(Fatal):
    """A planner yields what can't be made into tasks; trying again would not help."""


class TaskSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of work that is put together with others of its key, or split, into tasks.

    `size` is in whatever unit `max_task_size` is, such as rows. Raises `BadSpec`.
    """

    key: str = ""  # the shard; no task has pieces of two
    size: float = 1.0
    args: dict[str, Any] = {}  # what a task's handler is told of it
    split: Split | None = None  # a second dimension along which it may be cut

    def __post_init__(self) -> None:
        if isinstance(self.size, bool) or not isinstance(self.size, int | float):
            raise BadSpec(f"{self}: its size is no number")
        if not math.isfinite(self.size) or self.size < 0:
            raise BadSpec(f"{self}: its size must be 0 or more")

    def __str__(self) -> str:
        return f"the spec with key {self.key!r} and size {self.size}"
