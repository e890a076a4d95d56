"""Calls as a client places them in a store, and as a worker ends them."""

from typing import Any

from rota.common import keys, message, names
from rota.common.calling import Calling, CallRun, Reply
from rota.common.message import JobRequest
from rota.common.run import Claimed, Ended
from rota.common.store import Store
from tests.support import builders
from tests.support.builders import GROUP, HANDLER, HOUR_MS, WORKER

JOB = names.call_job(HANDLER)
REF = f"acme/{JOB}"
INBOX = "c1"
SOON_MS = 30_000


def call(number: int = 1, tenant: str = "acme", **over: Any) -> CallRun:
    """Return a call that `INBOX` waits for."""
    request = JobRequest(tenant=tenant, job=JOB, handler=HANDLER, beside=True, in_time=True)
    fields: dict[str, Any] = {
        "job_id": f"{tenant}/{JOB}:call-{number}",
        "tenant": tenant,
        "job": JOB,
        "handler": HANDLER,
        "attempts": 1,
        "keep_ms": HOUR_MS,
        "body": message.encode(request),
        "timeout_ms": SOON_MS,
        "inbox": INBOX,
    } | over
    return CallRun(**fields)


async def begin(store: Store, *calls: CallRun) -> list[Claimed]:
    """Place calls and return them as they are claimed."""
    await builders.register(store)
    await Calling(store).place(GROUP, calls)
    return (await builders.claim(store, len(calls))).runs


async def end(store: Store, run: Claimed, outcome: str = "succeeded", result: bytes = b"") -> str:
    """Report how a call ended; return the store's word."""
    body = builders.completion(run, outcome, beside=True)
    words, _ = await store.exchange(WORKER, [Ended(run, outcome, body, result)], [], {})
    return words[run.job_id]


async def replies(store: Store, inbox: str = INBOX) -> list[Reply]:
    """Return the replies that are in an inbox."""
    if not await store.link.command("EXISTS", keys.inbox(GROUP, inbox)):
        return []
    return (await Calling(store).replies(GROUP, inbox))[0]
