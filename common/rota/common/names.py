"""What tenants, groups, jobs and templates may be called, and how a job is referred to."""

import re

PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
HANDLER_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$"
_NAME = re.compile(PATTERN)
_MARK = re.compile(r"^(call|key)-[A-Za-z0-9._-]{1,64}$")
_HANDLER = re.compile(HANDLER_PATTERN)


def is_name(text: str) -> bool:
    """Tell whether `text` may name a tenant, group, job or template."""
    return _NAME.fullmatch(text) is not None


def call_job(handler: str) -> str:
    """Return what stands for a job where `handler` is called; no job can have this name."""
    return "@" + handler.replace(":", ".")


def is_call(job_id: str) -> bool:
    """Tell whether a run is a call: somebody asked for it, and no job is defined for it.

    A task that a called planner has planned is none.
    """
    tenant, at, rest = job_id.partition("/@")
    handler, colon, name = rest.partition(":")
    return bool(at and colon) and is_name(tenant) and is_handler(handler) and is_mark(name)


def is_mark(text: str) -> bool:
    """Tell whether `text` may stand behind the last colon of a call's job_id."""
    return _MARK.fullmatch(text) is not None


def is_handler(text: str) -> bool:
    """Tell whether `text` may name a handler, such as `orders.import`."""
    return _HANDLER.fullmatch(text) is not None


def split_ref(ref: str) -> tuple[str, str]:
    """Return tenant and job name of a `TENANT/JOB` reference.

    Raises `ValueError` for anything else.
    """
    tenant, slash, job = ref.partition("/")
    if not (slash and is_name(tenant) and (is_name(job) or _is_call_job(job))):
        raise ValueError(f"expected TENANT/JOB, such as acme/import-orders, got {ref!r}")
    return tenant, job


def _is_call_job(job: str) -> bool:
    return is_handler(job[1:]) and job == call_job(job[1:])


def split_job_id(job_id: str) -> tuple[str, str]:
    """Return the `TENANT/JOB` reference of a job_id, and which of the job's runs it is.

    Raises `ValueError` for what can't be a job_id.
    """
    ref, _, due = job_id.partition(":")
    try:
        split_ref(ref)
    except ValueError:
        due = ""
    if not due:
        raise ValueError(
            "expected a JOB_ID, TENANT/JOB:DUE such as acme/import-orders:20261123T020000Z,"
            f" got {job_id!r}"
        )
    return ref, due
