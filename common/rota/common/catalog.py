"""What the store knows beside the runs: groups, published jobs, their slots, registered workers."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypeVar, get_args

import msgspec

from rota.common import keys, message
from rota.common.job import Job, Priority
from rota.common.link import Link
from rota.common.state import State
from rota.common.worker_info import REGISTRATION_MS, SILENT_MS, WorkerInfo

_FIELDS = 200  # of a hash that one command sets or deletes

_PRIORITIES = get_args(Priority)
_jobs = msgspec.msgpack.Decoder(Job)
_workers = msgspec.msgpack.Decoder(WorkerInfo)
_T = TypeVar("_T")


class Slot(NamedTuple):
    """What the store remembers of one job."""

    run: str | None  # job_id of the run in flight
    due_ms: int | None  # the last occurrence that was accepted
    ended_ms: int | None  # when the last run ended, by the store's clock
    outcome: str | None  # how it ended
    last: str | None  # its job_id
    at_ms: int | None = None  # since when the job was busy with the last run that was accepted
    ok_ms: int = 0  # when a run succeeded last; 0 here and below: never
    failures: int = 0  # runs in a row that died since then
    failed_ms: int = 0  # when the last of them did


class Seen(NamedTuple):
    """When a worker registered last."""

    at_ms: int  # by the store's clock
    ms_ago: int

    @property
    def silent(self) -> bool:
        """Tell whether it has missed two registrations: it hangs, is cut off or dead."""
        return self.ms_ago > SILENT_MS


class Leadership(NamedTuple):
    """Who looks after a group."""

    leader: str | None  # the scheduler that leads it; none if nobody does
    schedulers: int  # how many are alive, the leader among them
    gate_ms: int  # until the gate closes; 0 if it is closed


class GroupCounts(NamedTuple):
    """How many runs of a group are in which state."""

    queued: int
    held: dict[str, int]  # by handler that no worker serves
    running: int
    retrying: int
    fanned: int  # that wait for their tasks
    dead: int
    repairs: dict[str, int]  # of what can't happen, so far, by kind; see `reconcile.lua`


class Queue(NamedTuple):
    """Some of a tenant's queued runs."""

    tenant: str
    ring: str  # the handler whose limit they have; empty for those without
    key: str


class Catalog:
    """Reads and writes what is known of groups, jobs and workers."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def groups(self) -> list[str]:
        """Return the groups that a scheduler has made known, sorted."""
        return sorted(name.decode() for name in await self._link.command("SMEMBERS", keys.groups()))

    async def publish(self, group: str, jobs: Sequence[Job]) -> None:
        """Make `jobs` the published jobs of `group`; others of the group are forgotten.

        Writes only what is new: a store that is at maxmemory takes what it knows.
        """
        wanted = {job.ref: message.encode(job) for job in jobs}
        key = keys.jobs(group)
        found = await self._link.command("HGETALL", key)
        known = {ref.decode(): value for ref, value in found.items()}
        new = [(ref, value) for ref, value in wanted.items() if known.get(ref) != value]
        gone = sorted(known.keys() - wanted.keys())
        listed = await self._link.command("SISMEMBER", keys.groups(), group)
        enlisting = [] if listed else [("SADD", keys.groups(), group)]
        await self._link.many([*enlisting, *_changes(key, new, gone)])

    async def amend(self, group: str, jobs: Sequence[Job], gone: Sequence[str]) -> None:
        """Publish these jobs of `group` anew and forget those in `gone`; all others stay."""
        pairs = [(job.ref, message.encode(job)) for job in jobs]
        await self._link.many(_changes(keys.jobs(group), pairs, gone))

    async def withdraw(self, groups: Sequence[str]) -> None:
        """Forget groups that the configuration no longer has, and their published jobs."""
        for group in groups:
            await self._link.command("DEL", keys.jobs(group))
            await self._link.command("SREM", keys.groups(), group)

    async def jobs(self, group: str) -> list[Job]:
        """Return the published jobs of `group`, by tenant and name."""
        values = await self._link.command("HVALS", keys.jobs(group))
        return sorted((_jobs.decode(v) for v in values), key=lambda job: (job.tenant, job.name))

    async def find(self, ref: str) -> Job | None:
        """Return the published job TENANT/JOB, whatever its group."""
        groups = await self.groups()
        found = await self._link.many([("HGET", keys.jobs(group), ref) for group in groups])
        return next((_jobs.decode(value) for value in found if value), None)

    async def opened_ms(self, group: str) -> int:
        """Return when the gate of `group` opened last, by the store's clock; 0 if it never did."""
        return int(await self._link.command("HGET", keys.root(group), "opened") or 0)

    async def slots(self, group: str, refs: Sequence[str]) -> list[Slot]:
        """Return what the store remembers of each job of `refs`, in that order."""
        fields = ("run", "due", "ended", "outcome", "last", "at", "ok", "failures", "failed")
        rows = await self._link.many([("HMGET", keys.slot(group, ref), *fields) for ref in refs])
        return [_slot(row) for row in rows]

    async def states(self, group: str, job_ids: Sequence[str]) -> list[State | None]:
        """Return the state of each of these runs, in that order; None if there is no record."""
        rows = await self._link.many(
            [("HGET", keys.run(group, job_id), "state") for job_id in job_ids]
        )
        return [State(row.decode()) if row else None for row in rows]

    async def forgive(self, group: str, refs: Sequence[str]) -> None:
        """Forget that runs of these jobs have died: their breakers are closed by hand."""
        fields = ("failures", "failed")
        await self._link.many([("HDEL", keys.slot(group, ref), *fields) for ref in refs])

    async def counts(self, group: str) -> GroupCounts:
        """Return how many runs of `group` are in which state."""
        queued = await self.queued(group)
        handlers = sorted(
            h.decode() for h in await self._link.command("SMEMBERS", keys.held(group))
        )
        held = await self._link.many([("LLEN", keys.hold(group, handler)) for handler in handlers])
        sizes = [keys.leases(group), keys.retries(group), keys.dead(group)]
        running, retrying, dead, fanned = await self._link.many(
            [*(("ZCARD", key) for key in sizes), ("SCARD", keys.fanned(group))]
        )
        repairs = await self._link.command("HGETALL", keys.repairs(group))
        return GroupCounts(
            queued=sum(queued.values()),
            held={handler: n for handler, n in zip(handlers, held, strict=True) if n},
            running=running,
            retrying=retrying,
            fanned=fanned,
            dead=dead,
            repairs={kind.decode(): int(n) for kind, n in sorted(repairs.items())},
        )

    async def queued(self, group: str) -> dict[str, int]:
        """Return the tenants of `group` with queued runs, and how many."""
        queues = await self.queues(group)
        sizes = await self._link.many([("LLEN", queue.key) for queue in queues])
        queued: Counter[str] = Counter()
        for queue, size in zip(queues, sizes, strict=True):
            queued[queue.tenant] += size
        return dict(queued)

    async def queues(self, group: str) -> list[Queue]:
        """Return the queues of `group` that are not empty, or were not just now, by tenant."""
        rings = ["", *await self._limited_handlers(group)]
        places = [keys.limited(group), *(keys.active(group, ring) for ring in rings)]
        found = await self._link.many([("ZRANGE", place, 0, -1) for place in places])
        tenants = sorted({name.decode() for names in found for name in names})
        rows = await self._link.many(
            [("HMGET", keys.tenant(group, name), "queues") for name in tenants]
        )
        return [
            Queue(tenant, ring, keys.queue(group, tenant, ring, priority))
            for tenant, (row,) in zip(tenants, rows, strict=True)
            for ring in ["", *(row or b"").decode().replace("^", "").split()]
            for priority in (_PRIORITIES if row and b"^" in row else ["normal"])
        ]

    async def weights(self, groups: Sequence[str]) -> dict[str, float]:
        """Return the weights of `groups` among each other; 1 where none was published."""
        rows = await self._link.many([("HGET", keys.root(group), "share") for group in groups])
        return {group: float(row or 1) for group, row in zip(groups, rows, strict=True)}

    async def _limited_handlers(self, group: str) -> list[str]:
        names = await self._link.command("HKEYS", keys.caps(group))
        return sorted(name.decode() for name in names if name)

    async def running(self, group: str) -> list[tuple[str, str, int, int]]:
        """Return job_id, worker, attempt and start (ms, store's clock) of each running run."""
        ids = [i.decode() for i in await self._link.command("ZRANGE", keys.leases(group), 0, -1)]
        fields = ("worker", "attempt", "at")
        rows = await self._link.many(
            [("HMGET", keys.run(group, job_id), *fields) for job_id in ids]
        )
        return [
            (job_id, row[0].decode(), int(row[1]), int(row[2]))
            for job_id, row in zip(ids, rows, strict=True)
            if row[0]
        ]

    async def run(self, group: str, job_id: str) -> dict[str, bytes]:
        """Return the record of one run; empty when there is none, or no longer."""
        row = await self._link.command("HGETALL", keys.run(group, job_id))
        return {name.decode(): value for name, value in row.items()}

    async def workers(self, group: str) -> list[WorkerInfo]:
        """Return the workers that are registered in `group`."""
        ids = [i.decode() for i in await self._link.command("ZRANGE", keys.workers(group), 0, -1)]
        rows = await self._link.many([("GET", keys.worker(group, i)) for i in ids])
        return [_workers.decode(row) for row in rows if row]

    async def live_workers(self, group: str) -> list[WorkerInfo]:
        """Return the workers of `group` that have not missed two registrations there."""
        seen = await self.seen(group)
        live = {worker for worker, last in seen.items() if not last.silent}
        return [worker for worker in await self.workers(group) if worker.id in live]

    async def leadership(self, group: str) -> Leadership:
        """Return who leads `group`, how many could, and for how long its gate is open."""
        now = await self._link.now_ms()
        row, schedulers = await self._link.many(
            [
                ("HMGET", keys.root(group), "leader", "led_until", "gate"),
                ("ZCOUNT", keys.schedulers(group), now + 1, "+inf"),
            ]
        )
        leader, led_until, gate = row[0] or b"", int(row[1] or 0), int(row[2] or 0)
        leads = leader.decode() if leader and led_until > now else None
        return Leadership(leads, schedulers, max(0, gate - now))

    async def seen(self, group: str) -> dict[str, Seen]:
        """Return when each worker that is registered in `group` last said so, by its id."""
        pairs = await self._link.command("ZRANGE", keys.workers(group), 0, -1, "WITHSCORES")
        now = await self._link.now_ms()
        seen: dict[str, Seen] = {}
        for worker, until in zip(pairs[::2], pairs[1::2], strict=True):
            at = int(float(until)) - REGISTRATION_MS
            seen[worker.decode()] = Seen(at, max(0, now - at))
        return seen


def _changes(
    key: str, pairs: Sequence[tuple[str, bytes]], gone: Sequence[str]
) -> list[tuple[Any, ...]]:
    """Return the commands that set fields of a hash and delete others, none of them long."""
    setting = [
        ("HSET", key, *(value for pair in chunk for value in pair))
        for chunk in _chunks(pairs, _FIELDS)
    ]
    return [*setting, *(("HDEL", key, *chunk) for chunk in _chunks(gone, _FIELDS))]


def _chunks(items: Sequence[_T], size: int) -> Iterator[Sequence[_T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _slot(row: list[bytes | None]) -> Slot:
    run, due, ended, outcome, last, at = (value.decode() if value else None for value in row[:6])
    due_ms, ended_ms, at_ms = (int(value) if value else None for value in (due, ended, at))
    ok_ms, failures, failed_ms = (int(value or 0) for value in row[6:])
    if outcome == "succeeded":  # an earlier version has noted no more than that
        ok_ms = max(ok_ms, ended_ms or 0)
    return Slot(run, due_ms, ended_ms, outcome, last, at_ms, ok_ms, failures, failed_ms)
