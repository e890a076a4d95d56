"""Holds a configuration against the handlers that the running workers have published."""

from typing import Any

import jsonschema
import msgspec

from rota.common.catalog import Catalog
from rota.common.job import Job
from rota.common.worker_info import HandlerInfo
from rota.scheduler.config import Config


class Mismatch(msgspec.Struct, frozen=True, kw_only=True):
    """A job that the running workers can't execute as it is."""

    job: str  # TENANT/JOB
    handler: str
    reason: str


async def compare(config: Config, catalog: Catalog) -> list[Mismatch]:
    """Return each job whose handler is not served in its group, or whose args do not fit it."""
    served: dict[str, dict[str, HandlerInfo]] = {}
    for group in config.groups:
        workers = await catalog.live_workers(group)
        served[group] = {handler.name: handler for w in workers for handler in w.handlers}
    found = (
        _mismatch(job, name, args, served[job.group])
        for job in config.jobs
        for name, args in _calls(job)
    )
    return [mismatch for mismatch in found if mismatch is not None]


def _calls(job: Job) -> list[tuple[str, dict[str, Any]]]:
    """Return what a job calls, each handler with each of its args once."""
    calls = job.calls
    return [call for number, call in enumerate(calls) if call not in calls[:number]]


def _mismatch(
    job: Job, name: str, args: dict[str, Any], served: dict[str, HandlerInfo]
) -> Mismatch | None:
    handler = served.get(name)
    if handler is None:
        reason = f"no worker in group {job.group} serves this handler"
    elif handler.tasks and handler.tasks not in served:
        reason = f"no worker in group {job.group} serves {handler.tasks}, which is to do its tasks"
    else:
        reason = _argument_error(args, handler.schema)
    return Mismatch(job=job.ref, handler=name, reason=reason) if reason else None


def _argument_error(args: dict[str, Any], schema: dict[str, Any]) -> str:
    validator = jsonschema.Draft202012Validator(schema)
    error = next(iter(validator.iter_errors(args)), None)
    if error is None:
        return ""
    where = ".".join(str(part) for part in error.absolute_path)
    return f"args{'.' + where if where else ''}: {error.message}"
