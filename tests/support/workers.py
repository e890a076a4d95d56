"""Workers that run in the test's own process, the runs that they are given, and what they tell."""

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import msgspec
import pytest
from structlog.typing import FilteringBoundLogger

from rota.common import keys, message
from rota.common.job import Retry, job_id
from rota.common.link import Link
from rota.common.message import Completion, JobRequest
from rota.common.run import Occurrence, Rescued
from rota.common.store import Store
from rota.worker.daemon import WorkerDaemon, WorkerOptions
from rota.worker.registry import Jobs
from tests.support import probe
from tests.support.builders import DUE_MS, GROUP, HANDLER
from tests.support.logbook import Logbook
from tests.support.proxy import Proxy

PROMPTLY = 1.0  # seconds: far less than the longest block, so that it shows that somebody was woken


@asynccontextmanager
async def working(
    url: str, jobs: Jobs, *, log: FilteringBoundLogger | None = None, **options: Any
) -> AsyncIterator[WorkerDaemon]:
    """Return a worker that has begun to work, and is stopped at the end.

    `options` are those of `WorkerOptions`; it serves `GROUP` unless they say otherwise.
    """
    chosen: dict[str, Any] = {"app": "child_app", "groups": [GROUP], "grace": 5.0} | options
    daemon = WorkerDaemon(url, jobs, WorkerOptions(**chosen), log=log or Logbook().log)
    await daemon.start()
    try:
        yield daemon
    finally:
        await daemon.stop()


@asynccontextmanager
async def proxied(url: str) -> AsyncIterator[tuple[Proxy, Store]]:
    """Return a proxy, and a store that is reached through it."""
    async with Proxy(url) as proxy:
        store = Store(Link(proxy.url))
        try:
            yield proxy, store
        finally:
            await store.link.close()


def request(
    job: str = "import",
    *,
    handler: str = HANDLER,
    args: dict[str, Any] | None = None,
    timeout_ms: int = 60_000,
    kill_after_ms: int = 10_000,
    attempts: int = 3,
    in_time: bool = False,
) -> bytes:
    """Return the body of a run of tenant `acme`."""
    return message.encode(
        JobRequest(
            tenant="acme",
            job=job,
            handler=handler,
            args=msgspec.Raw(message.encode(args or {})),
            timeout_ms=timeout_ms,
            kill_after_ms=kill_after_ms,
            retry=Retry(attempts=attempts),
            in_time=in_time,
        )
    )


def run_of(
    job: str = "import", *, handler: str = HANDLER, attempts: int = 3, keep_ms: int = 0, **over: Any
) -> Occurrence:
    """Return a run of tenant `acme`; `over` are the request's `args` and `timeout_ms`."""
    body = request(job, handler=handler, attempts=attempts, **over)
    return Occurrence(
        job_id=job_id(f"acme/{job}", DUE_MS),
        tenant="acme",
        job=job,
        handler=handler,
        due_ms=DUE_MS,
        attempts=attempts,
        keep_ms=keep_ms,
        body=body,
    )


def runs_of(count: int, prefix: str = "job") -> list[Occurrence]:
    """Return one run for each of `count` jobs."""
    return [run_of(f"{prefix}-{i}") for i in range(count)]


async def completions(store: Store, group: str = GROUP) -> list[Completion]:
    """Return all completions that were published in `group`, the first one first."""
    entries = await store.link.command("XRANGE", keys.done(group), "-", "+")
    return [message.decode_completion(fields[b"completion"]) for _, fields in entries]


async def told(
    store: Store, count: int, group: str = GROUP, within: float = 10.0
) -> list[Completion]:
    """Return the completions of `group` as soon as there are `count` of them."""

    async def enough() -> bool:
        return count <= int(await store.link.command("XLEN", keys.done(group)))

    await probe.found(enough, within)
    return await completions(store, group)


async def idle(store: Store, bells: int = 1) -> None:
    """Return when so many bells listen: their workers have nothing to do."""

    async def listening() -> bool:
        info = await store.link.command("INFO", "clients")
        return bells == int(info["blocked_clients"])

    await probe.found(listening)


async def lease_end(store: Store, run: Occurrence, group: str = GROUP) -> float:
    """Return when the lease of a run ends, in ms by the store's clock; 0 if there is none."""
    return float(await store.link.command("ZSCORE", keys.leases(group), run.job_id) or 0)


async def leased(store: Store, run: Occurrence, group: str = GROUP) -> float:
    """Return the end of the lease of a run as soon as it has one."""

    async def held() -> bool:
        return await lease_end(store, run, group) > 0

    await probe.found(held)
    return await lease_end(store, run, group)


@contextmanager
def sweeping(url: str, group: str = GROUP) -> Iterator[list[Rescued]]:
    """Sweep all the time from a thread of its own, as a scheduler does; return what was rescued."""
    rescued: list[Rescued] = []
    over = threading.Event()

    async def sweep() -> None:
        store = Store(Link(url))
        while not over.is_set():
            rescued.extend((await store.sweep(group))[0])
            await asyncio.sleep(0.01)
        await store.link.close()

    thread = threading.Thread(target=lambda: asyncio.run(sweep()))
    thread.start()
    try:
        yield rescued
    finally:
        over.set()
        thread.join()


class Trips:
    """Counts what goes over all links of this process: one entry for each round trip."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.taken: list[str] = []  # batch:CLAIM, batch:COMPLETE+CLAIM, block:BLPOP, command:PING
        # Every batch is an attempt.
        for name in ("attempt", "pipeline", "command", "block"):
            kind = "batch" if name == "attempt" else name
            monkeypatch.setattr(Link, name, self._counted(kind, getattr(Link, name)))

    @property
    def counts(self) -> Counter[str]:
        """Return how many round trips of each kind were made."""
        return Counter(trip.partition(":")[0] for trip in self.taken)

    def _counted(self, name: str, original: Any) -> Any:
        async def counted(link: Link, *args: Any, **options: Any) -> Any:
            self.taken.append(f"{name}:{_content(name, args)}")
            return await original(link, *args, **options)

        return counted


def _content(name: str, args: Any) -> str:
    if name == "batch":
        return "+".join(str(call.operation) for call in args[0])
    return str(args[0][0][0] if name == "pipeline" else args[0])
