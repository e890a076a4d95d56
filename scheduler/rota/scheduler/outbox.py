"""What a scheduler is to tell the store, in order: runs to enqueue, and what was not run."""

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
    """The items of each group. What is told of one job keeps its order, whatever happens.

    A note moves the job's cursor, and a run that is behind the cursor is not enqueued any more.
    """

    def __init__(self) -> None:
        self._items: dict[str, list[Item]] = {}
        self._runs: dict[str, str] = {}  # TENANT/JOB and job_id of the run that is to be enqueued

    def __len__(self) -> int:
        return sum(map(len, self._items.values()))

    @property
    def groups(self) -> set[str]:
        """Return the groups of which there is anything to tell."""
        return set(self._items)

    def run(self, ref: str) -> str | None:
        """Return the job_id of the run of TENANT/JOB that is to be enqueued."""
        return self._runs.get(ref)

    def put(self, job: Job, *what: Occurrence | Note, first: bool = False) -> None:
        """Add what is to be told of `job`, behind or, if `first`, before all else of that job."""
        items = self._items.setdefault(job.group, [])
        place = len(items)
        if first:
            place = next((i for i, item in enumerate(items) if item.job.ref == job.ref), place)
        items[place:place] = [Item(job, each) for each in what]
        for each in what:
            if isinstance(each, Occurrence):
                self._runs[job.ref] = each.job_id
        if not items:
            del self._items[job.group]

    def take(self, job: Job) -> list[Occurrence | Note]:
        """Take out all that is to be told of `job`, and return it."""
        mine = [item for item in self._items.get(job.group, []) if item.job.ref == job.ref]
        self.remove(job.group, mine)
        return [item.what for item in mine]

    def batches(self, most: int) -> dict[str, list[Item]]:
        """Return at most so many items of each group, to tell them in no certain order.

        So there are not both runs and notes of one job.
        """
        found: dict[str, list[Item]] = {}
        for group, items in self._items.items():
            kinds: dict[str, type[Occurrence | Note] | None] = {}
            batch = found[group] = []
            for item in items:
                kind = kinds.setdefault(item.job.ref, type(item.what))
                if kind is type(item.what):
                    batch.append(item)
                    if len(batch) == most:
                        break
                else:
                    kinds[item.job.ref] = None  # nothing that comes behind this
        return found

    def remove(self, group: str, told: Sequence[Item]) -> None:
        """Take out what was told."""
        gone = set(map(id, told))
        left = [item for item in self._items.pop(group, []) if id(item) not in gone]
        if left:
            self._items[group] = left
        for item in told:
            self._forget(item)

    def drop(self, group: str) -> list[Item]:
        """Take out all of one group, and return it."""
        dropped = self._items.pop(group, [])
        for item in dropped:
            self._forget(item)
        return dropped

    def _forget(self, item: Item) -> None:
        if isinstance(item.what, Occurrence) and self.run(item.job.ref) == item.what.job_id:
            del self._runs[item.job.ref]
