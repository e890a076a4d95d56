"""What differs between two configurations, down to fields of jobs and limits. Pure comparison."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from rota.common import duration
from rota.common.job import Job
from rota.common.limits import OPEN, UNLIMITED, TenantLimits
from rota.scheduler import limit_fields
from rota.scheduler.config import Config
from rota.scheduler.preview import describe

# Of a Config; what else it has are settings.
_NAMED = ("groups", "tenants", "jobs", "files", "limits")


class Change(NamedTuple):
    """One field that is not what it was."""

    field: str  # such as `retry.attempts`
    old: Any  # as people write it; None if there was none
    new: Any


class Difference(NamedTuple):
    """All that differs; jobs and tenants in their order."""

    groups_added: list[str]
    groups_removed: list[str]
    groups_changed: dict[str, list[Change]]
    handlers_changed: dict[str, list[Change]]
    tenants_added: list[str]
    tenants_removed: list[str]
    tenants_changed: dict[str, list[Change]]
    settings: list[Change]  # of the configuration as a whole
    added: list[Job]
    removed: list[Job]
    changed: list[tuple[Job, Job]]  # before and after

    def __bool__(self) -> bool:
        return any(self)

    @property
    def counts(self) -> dict[str, int]:
        """Return how many jobs differ in which way."""
        return {
            "added": len(self.added),
            "removed": len(self.removed),
            "changed": len(self.changed),
        }


def compare(old: Config, new: Config) -> Difference:
    """Return what `new` has that `old` has not, lacks that it has, and has otherwise."""
    before = {job.ref: job for job in old.jobs}
    after = {job.ref: job for job in new.jobs}
    both = old.tenants.keys() & new.tenants.keys()
    were, are = _Limits(old), _Limits(new)
    return Difference(
        groups_added=sorted(set(new.groups) - set(old.groups)),
        groups_removed=sorted(set(old.groups) - set(new.groups)),
        groups_changed=_by_name(
            (name, were.group(name), are.group(name))
            for name in sorted(set(new.groups) & set(old.groups))
        ),
        handlers_changed=_by_name(
            (name, were.handler(name), are.handler(name))
            for name in sorted(were.handlers.keys() | are.handlers.keys())
        ),
        tenants_added=[name for name in new.tenants if name not in both],
        tenants_removed=[name for name in old.tenants if name not in both],
        tenants_changed=_by_name(
            (name, were.tenant(name), are.tenant(name))
            for name in new.tenants
            if name in both and were.raw(name) != are.raw(name)
        ),
        settings=_changes(_settings(old), _settings(new)),
        added=[job for job in new.jobs if job.ref not in before],
        removed=[job for job in old.jobs if job.ref not in after],
        changed=[
            (before[job.ref], job)
            for job in new.jobs
            if job.ref in before and before[job.ref] != job
        ],
    )


class _Limits:
    """The limits of a configuration as one writes them, by name."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self.handlers: dict[str, int] = {}  # which every group has alike
        for limits in config.limits.values():
            self.handlers |= limits.handlers

    def group(self, name: str) -> dict[str, Any]:
        return limit_fields.of_group(self._config.limits.get(name, OPEN))

    def handler(self, name: str) -> dict[str, Any]:
        return {"max_concurrency": self.handlers.get(name)}

    def raw(self, name: str) -> tuple[str, TenantLimits]:
        group = self._config.tenants[name]
        return group, self._config.limits.get(group, OPEN).tenants.get(name, UNLIMITED)

    def tenant(self, name: str) -> dict[str, Any]:
        group, limits = self.raw(name)
        return {"group": group} | limit_fields.of_tenant(limits)


def _by_name(pairs: Iterable[tuple[str, Any, Any]]) -> dict[str, list[Change]]:
    found = {name: _changes(old, new) for name, old, new in pairs}
    return {name: changes for name, changes in found.items() if changes}


def fields(old: Job, new: Job) -> list[Change]:
    """Return the fields in which a job differs, as one writes them in the configuration."""
    return _changes(_written(old), _written(new))


def _settings(config: Config) -> dict[str, Any]:
    return {name: getattr(config, name) for name in config.__struct_fields__ if name not in _NAMED}


def _written(job: Job) -> dict[str, Any]:
    told = {name: getattr(job, name) for name in job.__struct_fields__ if name != "blackouts"}
    when = job.schedule
    told["schedule"] = describe(job)
    told["pause_after_failures"] = job.pause_after_failures or None
    told["fresh_within_ms"] = job.fresh_within_ms or None
    told["phases"] = {str(number): each for number, each in enumerate(job.phases, 2)} or None
    told["timezone"] = when.timezone
    told["dst"] = {"gap": when.gap, "fold": when.fold}
    told["max_lateness_ms"] = job.max_lateness_ms or None
    told["blackout"] = [blackout.text for blackout in job.blackouts] or None
    return told


def _changes(old: Any, new: Any, at: str = "") -> list[Change]:
    old, new = _plain(old), _plain(new)
    if old == new:
        return []
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return [Change(at.removesuffix("_ms"), _shown(at, old), _shown(at, new))]
    found: list[Change] = []
    for name in [*old, *(name for name in new if name not in old)]:
        below = f"{at}.{name}" if at else str(name)
        found += _changes(old.get(name), new.get(name), below)
    return found


def _plain(value: Any) -> Any:
    return msgspec.structs.asdict(value) if isinstance(value, msgspec.Struct) else value


def _shown(field: str, value: Any) -> Any:
    if field.endswith("_ms") and isinstance(value, int):
        return duration.text(value) if value else "0s"
    return msgspec.to_builtins(value)
