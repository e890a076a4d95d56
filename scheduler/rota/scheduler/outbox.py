"""What a scheduler is to tell the store: runs to enqueue, and what was not run."""

from collections.abc import Sequence
from typing import NamedTuple

from rota.common.job import Job
from rota.common.ledger import Note
from rota.common.run import Occurrence


class Item(NamedTuple):
    """One thing to tell."""

    job: Job
    what: Occurrence | Note


class Outbox:
    """The items of each group. A job has a run in it, or notes in order, and never both.

    So they can be told in any order: see `rota.scheduler.course`.
    """

    def __init__(self) -> None:
        self._items: dict[str, list[Item]] = {}
        self._runs: set[str] = set()  # job_ids that are to be enqueued

    def __len__(self) -> int:
        return sum(map(len, self._items.values()))

    @property
    def groups(self) -> set[str]:
        """Return the groups of which there is anything to tell."""
        return set(self._items)

    def has(self, run_id: str) -> bool:
        """Tell whether a run is to be enqueued."""
        return run_id in self._runs

    def put(self, job: Job, *what: Occurrence | Note) -> None:
        """Add what is to be told of `job`."""
        self._items.setdefault(job.group, []).extend(Item(job, each) for each in what)
        self._runs.update(each.job_id for each in what if isinstance(each, Occurrence))

    def take(self, job: Job) -> list[Occurrence | Note]:
        """Take out all that is to be told of `job`, and return it."""
        mine = [item for item in self._items.get(job.group, []) if item.job.ref == job.ref]
        self.remove(job.group, mine)
        return [item.what for item in mine]

    def batches(self, most: int) -> dict[str, list[Item]]:
        """Return at most so many items of each group, the first ones."""
        return {group: items[:most] for group, items in self._items.items()}

    def remove(self, group: str, told: Sequence[Item]) -> None:
        """Take out what was told."""
        gone = set(map(id, told))
        items = self._items.get(group, [])
        first = next((n for n, item in enumerate(items) if id(item) not in gone), len(items))
        del items[:first]  # most often these are all: what is behind them need not be looked at
        if first < len(told):
            items[:] = [item for item in items if id(item) not in gone]
        if not items:
            self._items.pop(group, None)
        self._forget(told)

    def drop(self, group: str) -> list[Item]:
        """Take out all of one group, and return it."""
        dropped = self._items.pop(group, [])
        self._forget(dropped)
        return dropped

    def _forget(self, items: Sequence[Item]) -> None:
        self._runs -= {item.what.job_id for item in items if isinstance(item.what, Occurrence)}
