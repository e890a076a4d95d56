"""What is queued for each tenant, since when, and whether its own limits keep it there."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from rota.common import keys
from rota.common.catalog import Catalog, Queue
from rota.common.link import Link

_CHUNK = 500  # queues in one round trip


class Backlog(NamedTuple):
    """The queued runs of one tenant."""

    queued: int = 0  # runs
    blocked: int = 0  # those of them whose handler is at its limit
    oldest_ms: int = 0  # how long the first of a queue has waited
    limited: bool = False  # its max_concurrency or its rate lets it start nothing now

    @property
    def ready(self) -> int:
        """Return how many runs wait for nothing but a worker and the tenant's turn."""
        return 0 if self.limited else self.queued - self.blocked


class Backlogs:
    """Reads what is queued."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def of(self, group: str, now_ms: int = 0) -> dict[str, Backlog]:
        """Return what the tenants of `group` have queued that have any.

        `now_ms` is by the clock of `group`; without it nothing is said of how long they wait.
        """
        queues = await Catalog(self._link).queues(group)
        limited = set(await self._link.command("ZRANGE", keys.limited(group), 0, -1))
        full = await self._full(group)
        found: dict[str, Backlog] = {}
        for start in range(0, len(queues), _CHUNK):
            part = queues[start : start + _CHUNK]
            sizes = await self._link.pipeline([("LLEN", queue.key) for queue in part])
            since = await self._since(group, part) if now_ms else [0] * len(part)
            for queue, size, since_ms in zip(part, sizes, since, strict=True):
                if size:
                    before = found.get(queue.tenant, Backlog())
                    found[queue.tenant] = Backlog(
                        queued=before.queued + size,
                        blocked=before.blocked + size * (queue.ring in full),
                        oldest_ms=max(before.oldest_ms, now_ms - since_ms if since_ms else 0),
                        limited=queue.tenant.encode() in limited,
                    )
        return found

    async def _full(self, group: str) -> set[str]:
        """Return the handlers that are at their limits."""
        caps = await self._link.command("HGETALL", keys.caps(group))
        running = await self._link.command("HGETALL", keys.running(group))
        return {
            name.decode()
            for name, most in caps.items()
            if name and int(most) and int(running.get(name, 0)) >= int(most)
        }

    async def _since(self, group: str, queues: Sequence[Queue]) -> list[int]:
        """Return since when the first run of each queue has waited, ms; 0 if that is not known."""
        heads = await self._link.pipeline([("LINDEX", queue.key, 0) for queue in queues])
        rows = await self._link.pipeline(
            [("HMGET", keys.run(group, (head or b"").decode()), "due", "queued") for head in heads]
        )
        return [queued_ms(due, queued) for due, queued in rows]


def queued_ms(due: Any, queued: bytes | None) -> int:
    """Return when a run was queued, of what `enqueue.lua` wrote; 0 if that is not known."""
    return int(due or 0) + int(queued.split()[0]) if queued else 0
