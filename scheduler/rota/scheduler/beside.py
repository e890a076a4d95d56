"""The runs of one job that are in flight beside each other, wherever in the store they wait."""

from typing import Any

from rota.common import keys
from rota.common.catalog import Catalog
from rota.common.job import Job
from rota.common.ledger import Attempts, Ledger
from rota.common.link import Link

_PAGE = 1_000  # pointers of a list in one reply


async def read(job: Job, link: Link) -> list[Attempts]:
    """Return the runs of `job` that are in flight, the one that was due last first.

    All of the tenant's queue is looked through, page by page.
    """
    ids = await _queued(job, link)
    # In the order in which a run passes them: one that goes on meanwhile is not left out.
    for key in (keys.retries(job.group), keys.leases(job.group)):
        ids |= await _scanned(key, job.ref, link)
    runs = await Ledger(link).in_flight(job.group, sorted(ids))
    return sorted(runs, key=lambda run: (run.at_ms, run.job_id), reverse=True)


async def _queued(job: Job, link: Link) -> set[str]:
    queues = await Catalog(link).queues(job.group)
    places = [queue.key for queue in queues if queue.tenant == job.tenant]
    places += [keys.hold(job.group, handler) for handler in job.handlers]
    found: set[str] = set()
    for place in places:
        start, page = 0, [b""]
        while page:
            page = await link.command("LRANGE", place, start, start + _PAGE - 1)
            found |= _own(job.ref, page)
            start += _PAGE
    return found


async def _scanned(key: str, ref: str, link: Link) -> set[str]:
    found: set[str] = set()
    cursor: Any = 0
    while True:
        options = ("MATCH", f"{ref}:*", "COUNT", _PAGE)
        cursor, pairs = await link.command("ZSCAN", key, cursor, *options)
        found |= _own(ref, [name for name, _ in pairs])
        if not int(cursor):
            return found


def _own(ref: str, names: list[bytes]) -> set[str]:
    """Return the job's runs among these, which may be tasks of theirs."""
    texts = (name.decode() for name in names)
    return {text.partition("#")[0] for text in texts if text.startswith(f"{ref}:")}
