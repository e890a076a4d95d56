"""What a revision holds: a configuration, and since when each job is due as it is."""

import hashlib
from functools import cached_property
from typing import Any, NamedTuple

import msgspec

from rota.common.job import Job
from rota.common.revisions import Unreadable
from rota.scheduler.config import Config


class Since(NamedTuple):
    """From when on what a job was due for, and did not run, counts as missed. ms; 0: not known."""

    changed_ms: int = (
        0  # its timing became what it is; 0: it has been so from the first revision on
    )
    known_ms: int = 0  # the job is known; for one that never ran


UNKNOWN = Since()  # whatever lies behind the last occurrence that was accepted is missed


class Applied(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """A configuration as it was applied; this is the content of a revision."""

    config: Config
    began_ms: int  # when a configuration was first applied to the store
    changed: list[int]  # for each job of `config.jobs`: `Since.changed_ms`

    @cached_property
    def jobs(self) -> dict[str, list[Job]]:
        """Return the jobs of each group, also of those that have none."""
        found: dict[str, list[Job]] = {group: [] for group in self.config.groups}
        for job in self.config.jobs:
            found[job.group].append(job)
        return found

    @cached_property
    def since(self) -> dict[str, Since]:
        """Return for each TENANT/JOB since when its occurrences can be missed."""
        pairs = zip(self.config.jobs, self.changed, strict=True)
        return {job.ref: Since(ms, ms or self.began_ms) for job, ms in pairs}

    def followed_by(self, config: Config, now_ms: int) -> "Applied":
        """Return `config` as applied now: jobs that are due as before keep since when they are."""
        before = {
            job.ref: (job, ms) for job, ms in zip(self.config.jobs, self.changed, strict=True)
        }
        changed = []
        for job in config.jobs:
            old, ms = before.get(job.ref, (None, 0))
            changed.append(ms if old is not None and timing(old) == timing(job) else now_ms)
        return Applied(config=bare(config), began_ms=self.began_ms, changed=changed)


def timing(job: Job) -> tuple[Any, ...]:
    """Return all that decides when `job` is due; its group, because that keeps what it did."""
    return job.group, job.schedule, job.blackouts


def first(config: Config, now_ms: int) -> Applied:
    """Return `config` as applied to a store that had none."""
    return Applied(config=bare(config), began_ms=now_ms, changed=[0] * len(config.jobs))


def bare(config: Config) -> Config:
    """Return `config` without where it was read."""
    return msgspec.structs.replace(config, files=[])


def digest(config: Config) -> str:
    """Return what is the same for configurations that say the same, however they were written."""
    return hashlib.sha256(_encoded(bare(config))).hexdigest()[:32]


def encode(applied: Applied) -> bytes:
    """Return `applied` as a revision's content."""
    return _encoded(applied)


def decode(content: bytes) -> Applied:
    """Return what a revision holds; raises `Unreadable` if this program does not understand it."""
    try:
        applied = _applied.decode(content)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Unreadable(f"this version does not understand the configuration: {error}") from None
    if len(applied.changed) != len(applied.config.jobs):
        raise Unreadable("the configuration is not whole")
    return applied


def _encoded(data: Any) -> bytes:
    return msgspec.msgpack.encode(data, order="deterministic")


_applied = msgspec.msgpack.Decoder(Applied)
