"""The state machine under limits: queues of their own for handlers, claims that keep to limits."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from rota.common.limits import GroupLimits
from rota.common.run import Claimed
from rota.common.state import State
from tests.support.model import Lists, Model, tenant_of


@dataclass
class LimitedModel(Model):
    """One group under limits on what runs at a time. The ring of a tenant's queue is behind an `@`.

    Limits hold for what starts. What is adopted may exceed them: it runs already.
    """

    limits: GroupLimits = field(default_factory=GroupLimits)

    def queue_of(self, job_id: str) -> str:
        """Return the name of the queue that the run is put into: its handler's, if that has one."""
        tenant, handler = tenant_of(job_id), self.runs[job_id].handler
        return f"{tenant}@{handler}" if handler in self.limits.handlers else tenant

    def may_point_to(self, job_id: str) -> list[list[str]]:
        """Return the queues in which there may be pointers: limits may have changed since."""
        tenant, handler = tenant_of(job_id), self.runs[job_id].handler
        return [self.queues[tenant], self.queues[f"{tenant}@{handler}"]]

    def may_start(self, worker: str) -> bool:
        """Tell whether there is a queue of what no limit keeps from starting at the worker."""
        return any(
            self._tenant_is_free(tenant)
            and (not ring or (ring in self.served[worker] and self._has_room(ring)))
            for name, queue in self.queues.items()
            for tenant, _, ring in [name.partition("@")]
            if queue
        )

    def running_of(self) -> dict[str, int]:
        """Return how many runs of each handler are running that has a limit."""
        running = Counter(self.runs[job_id].handler for job_id in self.of(State.RUNNING))
        return {handler: running[handler] for handler in self.limits.handlers}

    def _tenant_is_free(self, tenant: str) -> bool:
        return self._within(tenant, 1)

    def _has_room(self, handler: str) -> bool:
        most = self.limits.handlers.get(handler, 0)
        return not most or self.running_of()[handler] < most

    def _within(self, tenant: str, more: int) -> bool:
        limits = self.limits.tenants.get(tenant)
        running = sum(tenant_of(job_id) == tenant for job_id in self.of(State.RUNNING))
        return not limits or not limits.max_concurrency or running + more <= limits.max_concurrency

    def _take(self, worker: str, n: int, runs: list[Claimed], lists: Lists) -> None:
        super()._take(worker, n, runs, lists)
        running = self.running_of()
        for run in runs:
            handler = self.runs[run.job_id].handler
            assert self._within(tenant_of(run.job_id), 0)
            assert running.get(handler, 0) <= self.limits.handlers.get(handler, 0)

    def _read(self, lists: Lists, again: set[str], given: list[str]) -> Iterator[list[str]]:
        """Read the main queues first: what they have of limited handlers goes to their own."""
        moved: dict[str, list[str]] = {}
        for name in [name for name in self.queues if "@" not in name]:
            (popped,) = self._pop_queue(name, lists)
            queued = [i for i in popped if i in again or self.state(i) is State.QUEUED]
            for job_id in queued:
                if self.queue_of(job_id) != name:
                    moved.setdefault(self.queue_of(job_id), []).append(job_id)
            yield [i for i in popped if i not in queued or self.queue_of(i) == name]
        for name in {name for name in self.queues if "@" in name} | moved.keys():
            self._move_pointers(name, moved.get(name, []), lists, given)
            yield from self._pop_queue(name, lists)

    def _pop_queue(self, name: str, lists: Lists) -> Iterator[list[str]]:
        queue = self.queues[name]
        gone = queue[: max(0, len(queue) - len(lists[name]))]
        del queue[: len(gone)]
        yield gone

    def _move_pointers(self, name: str, moved: list[str], lists: Lists, given: list[str]) -> None:
        """Move pointers to a queue; a doubled one once, if its run was taken before the second."""
        queue, left = self.queues[name], lists[name]
        once = [i for k, i in enumerate(moved) if i not in given or i not in moved[:k]]
        whole = [*queue, *moved]
        fits = whole[len(whole) - len(left) :] == left
        queue += moved if fits else once
