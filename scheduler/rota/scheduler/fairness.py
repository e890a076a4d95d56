"""Share against entitlement: what tenants and groups got, for `sched fairness`.

Service is measured, exact at any moment. A tenant that had runs queued all the time wanted more
than anything: a job whose run waits is not queued again, so a short queue says nothing. Else it
wanted what it got, and what its queued runs will take. Runs that its own limits keep queued, or a
limit of their handler, do not count. See `entitlement` for what each is entitled to then.
"""

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from rota.common.backlog import Backlog, Backlogs
from rota.common.catalog import Catalog
from rota.common.limits import UNLIMITED
from rota.common.link import Link
from rota.common.usage import Usage, Usages
from rota.common.waits import Waits
from rota.scheduler import tenants
from rota.scheduler.entitlement import Claimant, entitled, jain, percentile

_NOTHING = Usage("", 0, 0, 0.0, UNLIMITED)
_LOOKS = 10  # at the queues, within the time that is watched

Pause = Callable[[float], Awaitable[None]]


class TenantShare(msgspec.Struct, frozen=True, kw_only=True):
    """What one tenant got, beside what it was entitled to. Shares are of its group's service."""

    tenant: str
    group: str
    weight: float
    service_s: float
    share: float  # 0 to 1
    entitled_s: float
    entitled: float  # 0 to 1
    lacks_s: float  # entitled_s - service_s; below 0 if it got more
    runs: int  # whose first attempt ended
    wait_p50_ms: int | None  # from when they were queued to when they were claimed
    wait_p99_ms: int | None
    queued: int  # at the end
    oldest_ms: int  # how long the first of those has waited
    backlogged: bool  # it had runs queued all the time, and no limit kept them there
    limited: bool  # its own limits keep what is queued from starting


class GroupShare(msgspec.Struct, frozen=True, kw_only=True):
    """The same of one group; shares are among the groups that the same workers serve."""

    group: str
    weight: float
    workers: int
    service_s: float
    share: float
    entitled_s: float
    entitled: float
    runs: int
    wait_p50_ms: int | None
    wait_p99_ms: int | None
    queued: int
    jain: float | None  # of service by weight of `compared` tenants; null of fewer than two
    compared: int  # tenants that had runs queued all the time


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What was found."""

    seconds: float | None  # that were watched; null: since the counters began
    groups: list[GroupShare]
    tenants: list[TenantShare]  # that got or want anything; who lacks most first


class Look(NamedTuple):
    """A group at one moment."""

    at_ms: int
    usages: Mapping[str, Usage]
    backlogs: Mapping[str, Backlog]


class Watched(NamedTuple):
    """A group, from the first look to the last."""

    group: str
    weight: float
    workers: frozenset[str]
    service_s: Mapping[str, float]  # by tenant
    last: Look
    backlogged: frozenset[str]  # tenants that could have run more all the time it was watched
    waits: Mapping[str, Sequence[int]]  # ms, by tenant


async def measure(link: Link, group: str | None, seconds: float, pause: Pause) -> Report:
    """Return the shares in `group`, or in all, for the next `seconds`; 0: since counters began.

    Raises `NotFound` if there is no such group.
    """
    names = await tenants.named(link, group)
    marks = {name: await Waits(link).mark(name) if seconds else "0-0" for name in names}
    first = {name: await look(link, name) for name in names}
    waiting = {name: _ready(each.backlogs) for name, each in first.items()}
    for number in range(1, _LOOKS + 1 if seconds and names else 1):
        await _until(link, first[names[0]], seconds * number / _LOOKS, names[0], pause)
        for name in names:
            waiting[name] &= _ready(await Backlogs(link).of(name))
    found = [
        await _watched(link, name, first[name] if seconds else None, waiting[name], marks[name])
        for name in names
    ]
    spans = [(each.last.at_ms - first[each.group].at_ms) / 1000 for each in found]
    return report(found, round(max(spans, default=seconds), 1) if seconds else 0.0)


async def _until(link: Link, first: Look, seconds: float, group: str, pause: Pause) -> None:
    """Let time pass until so many seconds after the first look; looking takes a while, too."""
    passed = (await Usages(link).now_ms(group) - first.at_ms) / 1000
    if passed < seconds:
        await pause(seconds - passed)


async def look(link: Link, group: str) -> Look:
    """Return `group` as it is now."""
    now_ms = await Usages(link).now_ms(group)
    backlogs = await Backlogs(link).of(group, now_ms)
    known = {*await tenants.job_counts(link, group), *await tenants.at_work(link, group)}
    names = sorted({*known, *backlogs})
    return Look(
        now_ms, {used.tenant: used for used in await Usages(link).of(group, names)}, backlogs
    )


async def _watched(
    link: Link, group: str, first: Look | None, waiting: frozenset[str], mark: str
) -> Watched:
    last = await look(link, group)
    # Of one that was not there at first nobody knows since when it was served before.
    before = first.usages if first else dict.fromkeys(last.usages, _NOTHING)
    service = {
        name: (used.service_ms - before.get(name, used).service_ms) / 1000
        for name, used in last.usages.items()
    }
    weights = await Catalog(link).weights([group])
    return Watched(
        group=group,
        weight=weights[group],
        workers=frozenset(worker.id for worker in await Catalog(link).live_workers(group)),
        # A store that lost writes in between has counted back.
        service_s={name: max(0.0, seconds) for name, seconds in service.items()},
        last=last,
        backlogged=waiting & _ready(last.backlogs) if first else frozenset(),
        waits=await Waits(link).since(group, mark),
    )


def _ready(backlogs: Mapping[str, Backlog]) -> frozenset[str]:
    return frozenset(name for name, backlog in backlogs.items() if backlog.ready)


def report(watched: Sequence[Watched], seconds: float) -> Report:
    """Return what was found in all groups that were watched."""
    lines = [line for each in watched for line in _tenants(each)]
    return Report(
        seconds=seconds or None,
        groups=_groups(watched),
        tenants=sorted(lines, key=lambda line: (-line.lacks_s, line.group, line.tenant)),
    )


def _tenants(watched: Watched) -> list[TenantShare]:
    names = [
        name
        for name in watched.last.usages
        if watched.service_s[name] or name in watched.last.backlogs or watched.waits.get(name)
    ]
    parts = [_claimant(watched, name) for name in names]
    total = sum(part.got for part in parts)
    return [
        _tenant(watched, name, part, due, total)
        for name, part, due in zip(names, parts, entitled(parts), strict=True)
    ]


def _claimant(watched: Watched, name: str) -> Claimant:
    used, got = watched.last.usages[name], watched.service_s[name]
    if name in watched.backlogged:
        return Claimant(used.limits.weight, got, math.inf)
    ready = watched.last.backlogs.get(name, Backlog()).ready
    return Claimant(used.limits.weight, got, got + ready * used.est_ms / 1000)


def _tenant(watched: Watched, name: str, part: Claimant, due_s: float, total: float) -> TenantShare:
    waits = watched.waits.get(name, [])
    backlog = watched.last.backlogs.get(name, Backlog())
    return TenantShare(
        tenant=name,
        group=watched.group,
        weight=part.weight,
        service_s=round(part.got, 3),
        share=_part(part.got, total),
        entitled_s=round(due_s, 3),
        entitled=_part(due_s, total),
        lacks_s=round(due_s - part.got, 3),
        runs=len(waits),
        wait_p50_ms=percentile(waits, 0.50),
        wait_p99_ms=percentile(waits, 0.99),
        queued=backlog.queued,
        oldest_ms=backlog.oldest_ms,
        backlogged=name in watched.backlogged,
        limited=backlog.limited,
    )


def _groups(watched: Sequence[Watched]) -> list[GroupShare]:
    """Return the groups; only those that the same workers serve share anything."""
    parts = {each.group: _group_claimant(each) for each in watched}
    found: list[GroupShare] = []
    for each in watched:
        beside = [other.group for other in watched if other.workers == each.workers]
        due = dict(zip(beside, entitled([parts[name] for name in beside]), strict=True))
        total = sum(parts[name].got for name in beside)
        found.append(_group(each, parts[each.group], due[each.group], total))
    return found


def _group_claimant(watched: Watched) -> Claimant:
    parts = [_claimant(watched, name) for name in watched.last.usages]
    got = sum(part.got for part in parts)
    return Claimant(watched.weight, got, max(got, sum(part.wanted for part in parts)))


def _group(watched: Watched, part: Claimant, due_s: float, total: float) -> GroupShare:
    waits = [ms for each in watched.waits.values() for ms in each]
    weights = {name: used.limits.weight for name, used in watched.last.usages.items()}
    compared = [
        watched.service_s[name] / weights[name] for name in watched.backlogged & weights.keys()
    ]
    return GroupShare(
        group=watched.group,
        weight=part.weight,
        workers=len(watched.workers),
        service_s=round(part.got, 3),
        share=_part(part.got, total),
        entitled_s=round(due_s, 3),
        entitled=_part(due_s, total),
        runs=len(waits),
        wait_p50_ms=percentile(waits, 0.50),
        wait_p99_ms=percentile(waits, 0.99),
        queued=sum(backlog.queued for backlog in watched.last.backlogs.values()),
        jain=jain(compared),
        compared=len(compared),
    )


def _part(value: float, total: float) -> float:
    return round(value / total, 4) if total else 0.0
