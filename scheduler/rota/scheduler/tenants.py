"""What an operator wants to know of each tenant, in one line, for `sched tenants`."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from rota.common import clock, keys, message
from rota.common.backlog import Backlog, Backlogs
from rota.common.catalog import Catalog
from rota.common.errors import NotFound
from rota.common.link import Link
from rota.common.usage import Usages
from rota.scheduler import limit_fields
from rota.scheduler.history import span


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """The last dead letter of a tenant."""

    job_id: str
    died: str  # when, by the store's clock
    ms_ago: int
    error: str


class TenantLine(msgspec.Struct, frozen=True, kw_only=True):
    """One tenant; limits as they are in force in the store, null where there is none."""

    tenant: str
    group: str
    weight: float
    jobs: int
    queued: int
    oldest_ms: int  # how long the first of its queued runs has waited; 0 if none is queued
    running: int
    limited: bool  # it has runs queued, and its limits let it start none of them now
    max_concurrency: int | None
    rate_limit: str | None
    burst: int
    max_backlog: int | None
    dead: int  # dead letters
    last_failure: Failure | None


class Dead(NamedTuple):
    """The dead letters of a tenant."""

    letters: int
    last: str  # job_id
    died_ms: int


async def named(link: Link, group: str | None) -> list[str]:
    """Return `group` alone, or all groups; raises `NotFound` if it is not known."""
    groups = await Catalog(link).groups()
    if group is not None and group not in groups:
        raise NotFound(f"no group {group!r} is known to the store (`sched status` lists them)")
    return groups if group is None else [group]


async def gather(link: Link, group: str | None = None) -> list[TenantLine]:
    """Return the tenants of `group`, or of all, by group and name."""
    return [line for each in await named(link, group) for line in await _lines(link, each)]


async def job_counts(link: Link, group: str) -> Counter[str]:
    """Return the tenants of `group` that have jobs, and how many."""
    refs = await link.command("HKEYS", keys.jobs(group))
    return Counter(ref.decode().partition("/")[0] for ref in refs)


async def at_work(link: Link, group: str) -> set[str]:
    """Return the tenants of `group` that have runs under way, also without jobs any more."""
    job_ids = await link.command("ZRANGE", keys.leases(group), 0, -1)
    return {job_id.decode().partition("/")[0] for job_id in job_ids}


async def _lines(link: Link, group: str) -> list[TenantLine]:
    jobs = await job_counts(link, group)
    now_ms = await Usages(link).now_ms(group)
    backlogs = await Backlogs(link).of(group, now_ms)
    dead = await _dead(link, group)
    failures = await _failures(link, group, dead, now_ms)
    names = sorted({*jobs, *backlogs, *dead, *await at_work(link, group)})
    return [
        TenantLine(
            tenant=used.tenant,
            group=group,
            jobs=jobs[used.tenant],
            running=used.running,
            dead=dead[used.tenant].letters if used.tenant in dead else 0,
            last_failure=failures.get(used.tenant),
            **_queued(backlogs.get(used.tenant, Backlog())),
            **limit_fields.of_tenant(used.limits),
        )
        for used in await Usages(link).of(group, names)
    ]


def _queued(backlog: Backlog) -> dict[str, Any]:
    return {
        "queued": backlog.queued,
        "oldest_ms": backlog.oldest_ms,
        "limited": backlog.limited,
    }


async def _dead(link: Link, group: str) -> dict[str, Dead]:
    pairs = await link.command("ZRANGE", keys.dead(group), 0, -1, "WITHSCORES")
    found: dict[str, Dead] = {}
    for name, at in zip(pairs[::2], pairs[1::2], strict=True):
        job_id = name.decode()
        tenant = job_id.partition("/")[0]
        before = found[tenant].letters if tenant in found else 0
        found[tenant] = Dead(before + 1, job_id, int(float(at)))
    return found


async def _failures(
    link: Link, group: str, dead: dict[str, Dead], now_ms: int
) -> dict[str, Failure]:
    asked = [("HGET", keys.run(group, each.last), "completion") for each in dead.values()]
    rows = await link.many(asked)
    return {
        name: _failure(each, row, now_ms)
        for (name, each), row in zip(dead.items(), rows, strict=True)
    }


def _failure(dead: Dead, completion: bytes | None, now_ms: int) -> Failure:
    error = message.decode_completion(completion).error if completion else None
    text = ": ".join(filter(None, (error.kind, error.message))) if error else "unknown"
    return Failure(
        job_id=dead.last,
        died=clock.iso(dead.died_ms),
        ms_ago=max(0, now_ms - dead.died_ms),
        error=text,
    )


COLUMNS: Sequence[str] = (
    *("TENANT", "GROUP", "WEIGHT", "JOBS", "QUEUED", "OLDEST", "RUNNING"),
    *("MAX", "RATE", "BACKLOG", "DEAD", "LAST FAILURE"),
)


def row(line: TenantLine) -> tuple[Any, ...]:
    """Return what to show of a tenant."""
    failure = line.last_failure
    last = failure and f"{span(failure.ms_ago)} ago: {failure.error[:60]}"
    rate = line.rate_limit and f"{line.rate_limit} burst {line.burst}"
    return (
        *(line.tenant, line.group, line.weight, line.jobs),
        f"{line.queued} (at its limit)" if line.limited else line.queued,
        span(line.oldest_ms) if line.queued else None,
        *(line.running, line.max_concurrency, rate, line.max_backlog, line.dead, last),
    )
