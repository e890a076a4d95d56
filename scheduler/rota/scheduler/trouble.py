"""Jobs that do not run, or do not succeed, as they should: paused, resting, or stale."""

from collections.abc import Sequence

import msgspec

from rota.common import clock, duration
from rota.common.catalog import Catalog, Slot
from rota.common.job import Job
from rota.common.link import Link
from rota.common.pauses import Pauses, PauseSet
from rota.common.revisions import Unreadable
from rota.scheduler.applier import Applier
from rota.scheduler.breakers import is_open
from rota.scheduler.freshness import Success


class PauseRow(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator has paused."""

    paused: str  # TENANT or TENANT/JOB
    jobs: int  # how many jobs that are, as configured now
    since: str
    by: str
    why: str


class BreakerRow(msgspec.Struct, frozen=True, kw_only=True):
    """A job whose breaker is open."""

    job: str  # TENANT/JOB
    failures: int  # runs in a row that died
    last: str  # when the last one did
    probe: str  # from when on one is tried


class StaleRow(msgspec.Struct, frozen=True, kw_only=True):
    """A job that has not succeeded for too long."""

    job: str  # TENANT/JOB
    fresh_within: str  # how long that may be
    last: str | None  # the last success
    since: str  # when it became stale


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """All of it."""

    paused: list[PauseRow] = []
    breakers: list[BreakerRow] = []
    stale: list[StaleRow] = []


async def find(link: Link, tenant: str | None = None) -> Trouble:
    """Return what there is, of all or of one tenant."""
    pauses = await Pauses(link).read()
    applier = Applier(link, command="")
    try:
        standing = await applier.current()
    except Unreadable:
        standing = None  # a later version has applied it; what is paused is told all the same
    every = standing.applied.config.jobs if standing else []
    jobs = [job for job in every if tenant in (None, job.tenant)]
    since = standing.applied.since if standing else {}
    now_ms = await applier.revisions.now_ms()
    breakers: list[BreakerRow] = []
    stale: list[StaleRow] = []
    for group, some in _by_group(jobs).items():
        catalog = Catalog(link)
        opened_ms = await catalog.opened_ms(group)
        slots = await catalog.slots(group, [job.ref for job in some])
        for job, slot in zip(some, slots, strict=True):
            breakers += breaker(job, slot)
            success = Success.of(job, slot, pauses, since[job.ref], opened_ms)
            if job.fresh_within_ms and not pauses.over(job.ref):
                stale += _stale(job, success, now_ms)
    return Trouble(paused=_paused(pauses, jobs, tenant), breakers=breakers, stale=stale)


def breaker(job: Job, slot: Slot) -> list[BreakerRow]:
    """Return the breaker of a job, if it is open."""
    if not is_open(job, slot.failures):
        return []
    return [
        BreakerRow(
            job=job.ref,
            failures=slot.failures,
            last=clock.iso_seconds(slot.failed_ms),
            probe=clock.iso_seconds(slot.failed_ms + job.probe_after_ms),
        )
    ]


def resting(row: BreakerRow) -> str:
    """Return in words that a breaker is open."""
    runs = f"{row.failures} runs in a row died, the last at {row.last}"
    return f"the breaker of {row.job} is open: {runs}; one is tried from {row.probe} on"


def aged(row: StaleRow) -> str:
    """Return in words that a job is stale."""
    last = f"its last success was at {row.last}" if row.last else "it never succeeded"
    return f"{row.job} is stale since {row.since}: {last}, fresh_within is {row.fresh_within}"


def _by_group(jobs: Sequence[Job]) -> dict[str, list[Job]]:
    """Return the jobs of which more is to be known, by group."""
    found: dict[str, list[Job]] = {}
    for job in jobs:
        if job.pause_after_failures or job.fresh_within_ms:
            found.setdefault(job.group, []).append(job)
    return found


def _paused(pauses: PauseSet, jobs: Sequence[Job], tenant: str | None) -> list[PauseRow]:
    return [
        PauseRow(
            paused=name,
            jobs=sum(name in (job.ref, job.tenant) for job in jobs),
            since=clock.iso_seconds(pause.since_ms),
            by=pause.by,
            why=pause.why,
        )
        for name, pause in pauses.all_lasting.items()
        if tenant in (None, name.partition("/")[0])
    ]


def _stale(job: Job, success: Success, now_ms: int) -> list[StaleRow]:
    if now_ms < success.stale_ms(job):
        return []
    return [
        StaleRow(
            job=job.ref,
            fresh_within=duration.text(job.fresh_within_ms),
            last=clock.iso_seconds(success.ok_ms) if success.ok_ms else None,
            since=clock.iso_seconds(success.stale_ms(job)),
        )
    ]
