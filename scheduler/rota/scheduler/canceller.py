"""Cancels one run by hand."""

from rota.common import keys
from rota.common.catalog import Catalog
from rota.common.errors import NotFound, Refused
from rota.common.intervention import Intervention
from rota.common.link import Link
from rota.common.store import GATED, Store


async def cancel(job_id: str, link: Link) -> str:
    """Cancel a run; return `cancelled`, or `cancelling` if its handler must end first.

    Raises `NotFound` if no group knows the run, `Refused` if it is over or can't be judged yet.
    """
    group = await _group_of(job_id, link)
    word = "unknown"
    if group:
        word = (await Intervention(Store(link)).cancel([(group, job_id)]))[job_id]
    if word == "unknown":
        raise NotFound(f"no run {job_id} is known to the store (`sched status` lists the runs)")
    if word == "over":
        raise Refused(f"not cancelled: {job_id} is over")
    if word == GATED:
        raise Refused("not cancelled: the store was restarted and opens in a few seconds")
    return word


async def _group_of(job_id: str, link: Link) -> str | None:
    catalog = Catalog(link)
    job = await catalog.find(job_id.partition(":")[0])
    if job is not None:
        return job.group
    # The job may be gone from the configuration while its last run is in flight.
    groups = await catalog.groups()
    known = await link.pipeline([("EXISTS", keys.run(group, job_id)) for group in groups])
    return next((group for group, found in zip(groups, known, strict=True) if found), None)
