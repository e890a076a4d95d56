"""Pauses and resumes what an operator names, and says what else keeps it from running."""

import msgspec

from rota.common import clock, names
from rota.common.catalog import Catalog
from rota.common.errors import NotFound, Refused, UsageError
from rota.common.job import Job
from rota.common.link import Link
from rota.common.pauses import Pause, Pauses, PauseSet
from rota.scheduler.applier import Applier, user
from rota.scheduler.breakers import is_open

_LONGEST_REASON = 200  # characters


class Paused(msgspec.Struct, frozen=True, kw_only=True):
    """What was paused."""

    paused: str  # TENANT or TENANT/JOB
    jobs: int  # how many jobs that are
    by: str
    why: str
    since: str
    already: bool  # whether it was so before


class Resumed(msgspec.Struct, frozen=True, kw_only=True):
    """What was resumed, if it was paused."""

    resumed: str  # TENANT or TENANT/JOB
    was_paused: bool
    breakers_closed: list[str]  # TENANT/JOB each
    still_paused: list[str]  # what was paused by its own name, and holds


def check(name: str) -> None:
    """Raise `UsageError` if `name` is neither TENANT nor TENANT/JOB."""
    tenant, slash, job = name.partition("/")
    if not names.is_name(tenant) or (slash and not names.is_name(job)):
        raise UsageError(f"{name!r} is neither TENANT nor TENANT/JOB, such as acme/vacuum")


async def pause(name: str, why: str, link: Link) -> Paused:
    """Let nothing of TENANT or TENANT/JOB be enqueued until it is resumed.

    Raises `NotFound` if it is not configured.
    """
    if len(why) > _LONGEST_REASON:
        raise UsageError(f"--reason: at most {_LONGEST_REASON} characters; say it shorter")
    jobs = await _jobs(name, link)
    made, is_new = await Pauses(link).pause(name, by=user(), why=why)
    return Paused(
        paused=name,
        jobs=len(jobs),
        by=made.by,
        why=made.why,
        since=clock.iso_seconds(made.since_ms),
        already=not is_new,
    )


async def resume(name: str, link: Link) -> Resumed:
    """Let TENANT or TENANT/JOB run again: end its pause, and close the breakers of its jobs.

    Raises `NotFound` if it is neither configured nor paused, `Refused` if a job is paused with its
    tenant, and not by itself.
    """
    known = await Pauses(link).read()
    jobs = [] if known.lasting(name) else await _jobs(name, link)
    ended = await Pauses(link).resume(name)
    jobs = jobs or await _jobs(name, link, strict=False)
    closed = await _close_breakers(jobs, link)
    tenant = name.partition("/")[0]
    above = known.lasting(tenant) if tenant != name else None
    if above and not ended and not closed:
        raise Refused(f"{name} is paused with all of {tenant}, {_told(above)}; resume {tenant}")
    below = [each for each in known.all_lasting if each.startswith(f"{name}/")]
    return Resumed(
        resumed=name,
        was_paused=ended is not None,
        breakers_closed=closed,
        still_paused=[tenant, *below] if above else below,
    )


def _told(pause: Pause) -> str:
    return f"since {clock.iso_seconds(pause.since_ms)} {pause.text}"


async def tell(ref: str, link: Link) -> str:
    """Return that TENANT/JOB is paused, since when, by whom and why; empty if it is not."""
    return told(ref, await Pauses(link).read())


def told(ref: str, pauses: PauseSet) -> str:
    """Return the same, of what is known."""
    over = pauses.over(ref)
    if over is None:
        return ""
    name, found = over
    return f"{ref} is paused{'' if name == ref else f' with all of {name}'}, {_told(found)}"


async def _jobs(name: str, link: Link, *, strict: bool = True) -> list[Job]:
    standing = await Applier(link, command="").current()
    config = standing.applied.config if standing else None
    found = [job for job in (config.jobs if config else []) if name in (job.ref, job.tenant)]
    if strict and not found and not (config and name in config.tenants):
        what = "job" if "/" in name else "tenant"
        raise NotFound(
            f"no {what} {name} is configured (`sched status` lists the groups and tenants)"
        )
    return found


async def _close_breakers(jobs: list[Job], link: Link) -> list[str]:
    catalog = Catalog(link)
    closed: list[str] = []
    for group in sorted({job.group for job in jobs}):
        mine = [job for job in jobs if job.group == group and job.pause_after_failures]
        slots = await catalog.slots(group, [job.ref for job in mine])
        found = zip(mine, slots, strict=True)
        refs = [job.ref for job, slot in found if is_open(job, slot.failures)]
        await catalog.forgive(group, refs)
        closed += refs
    return closed
