"""Warnings: what a configuration that is valid says in vain, and where."""

from collections.abc import Iterator, Sequence

import msgspec

from rota.common.job import Job
from rota.scheduler.config import effect, resolve
from rota.scheduler.config.declaration import Declaration, Declarations
from rota.scheduler.config.diagnostic import MAX_PROBLEMS, Problem
from rota.scheduler.config.model import JobSpec, TenantSpec
from rota.scheduler.config.resolve import Ground


def warnings(declared: Declarations, ground: Ground, jobs: Sequence[Job]) -> list[Problem]:
    """Return what is written in vain: in templates, in tenants, and in the defaults for all jobs.

    `declared` is valid, and `jobs` is what it comes to.
    """
    found: list[Problem] = []
    for problem in _all(declared, ground, jobs):
        found.append(problem)
        if len(found) >= MAX_PROBLEMS:
            break
    return sorted(found, key=lambda it: (it.file, it.line, it.column))


def _all(declared: Declarations, ground: Ground, jobs: Sequence[Job]) -> Iterator[Problem]:
    if declared.defaults is not None:
        yield from _defaults(declared.defaults, jobs)
    base = resolve.footing(ground)
    for name, place in declared.templates.items():
        for job, spec in ground.templates[name].items():
            own = resolve.job(spec, ground, base, name=job)
            yield from _job(place, (*place.path, job), spec, own)
    known = {job.ref: job for job in jobs}
    for name, place in declared.tenants.items():
        for job, written in msgspec.convert(place.data, TenantSpec).jobs.items():
            if written is not None:
                own = known[f"{name}/{job}"]
                yield from _job(place, (*place.path, "jobs", job), written, own)


def _job(place: Declaration, path: tuple[str, ...], spec: JobSpec, job: Job) -> Iterator[Problem]:
    for name, message, advice in effect.idle(spec, job):
        yield _warning(place, (*path, name), message, advice)


def _defaults(place: Declaration, jobs: Sequence[Job]) -> Iterator[Problem]:
    for name, (why, advice) in effect.RULES.items():
        if name in place.data and jobs and all(why(job) for job in jobs):
            yield _warning(place, (*place.path, name), f"{name} has no effect on any job", advice)


def _warning(place: Declaration, path: tuple[str, ...], message: str, advice: str) -> Problem:
    key, _ = place.document.find(path)
    problem = place.document.problem(key, message, advice=advice)
    return msgspec.structs.replace(problem, severity="warning")
