"""Renews leases from a thread of its own: a handler that blocks the loop keeps its lease."""

import asyncio
import threading
from collections.abc import Callable

from structlog.typing import FilteringBoundLogger

from rota.common import message
from rota.common.clock import Clock
from rota.common.errors import StoreError, StoreUnavailable
from rota.common.link import Link
from rota.common.run import Adoption, Claimed
from rota.common.scripts import GATE_MS
from rota.common.service import Loop
from rota.common.store import LEASE_MS, Store
from rota.worker.held import HeldRun, HeldRuns

_SAFE = 0.9  # of a lease: at this age, without a renewal, we take it for lost


class _Renewing(Loop):
    """Renews leases, those of a group in one round trip; runs in the renewer's own event loop."""

    interruptible = True  # a renewal may be repeated, and its reply may never come

    def __init__(
        self,
        *,
        worker_id: str,
        store: Store,
        held: HeldRuns,
        clock: Clock,
        lose: Callable[[HeldRun], None],
        cancel: Callable[[HeldRun], None],
        lease_ms: int,
        log: FilteringBoundLogger,
    ) -> None:
        super().__init__(log=log)
        # Of a lease. With this time for a turn and for a pause: a sixth from one to the next.
        self._twelfth = self.longest_pause = lease_ms / 12_000
        self.renewed_at = clock.monotonic()  # when a turn last renewed all that was due
        self._worker_id = worker_id
        self._store = store
        self._held = held
        self._clock = clock
        self._lose = lose
        self._cancel = cancel
        self._lease_ms = lease_ms
        self._under_way: dict[str, asyncio.Task[None]] = {}  # renewals, by group

    async def turn(self) -> float:
        """Renew every lease of which a third is over.

        Each group apart, and a renewal that takes long goes on beside the next turns: in a cluster
        the server of another group may be away, or silent.
        """
        third = self._lease_ms / 3000
        sent_at = self._clock.monotonic()
        # Not what the guard gives up: a lease renewed for nobody would keep the run from others.
        due = [
            held
            for held in self._held.snapshot()
            if third <= sent_at - held.renewed_at < _SAFE * 3 * third and not held.lost
        ]
        groups: dict[str, list[HeldRun]] = {}
        for held in due:
            groups.setdefault(held.run.group, []).append(held)
        for group in groups.keys() - self._under_way.keys():
            renewal = self._renew(groups[group], sent_at)
            self._under_way[group] = asyncio.create_task(renewal)
        await self._settle()
        self.renewed_at = self._clock.monotonic()
        return third / 2

    async def stop(self) -> None:
        """Stop, and let go of the renewals that are under way."""
        await super().stop()
        for task in self._under_way.values():
            task.cancel()
        await asyncio.gather(*self._under_way.values(), return_exceptions=True)

    async def _settle(self) -> None:
        """Wait for the renewals a while; raise `StoreUnavailable` if one failed or goes on."""
        if self._under_way:
            await asyncio.wait(self._under_way.values(), timeout=self._twelfth)
        over = {group: task for group, task in self._under_way.items() if task.done()}
        for group in over:
            del self._under_way[group]
        errors = [error for task in over.values() if (error := task.exception())]
        # One that is no outage ends the loop; it must not hide behind one that is.
        for error in sorted(errors, key=lambda error: isinstance(error, StoreError)):
            raise error
        if self._under_way:
            raise StoreUnavailable(f"no answer yet for group {', '.join(self._under_way)}")

    async def _renew(self, due: list[HeldRun], sent_at: float) -> None:
        by_run = {held.run: held for held in due}
        lost, unknown = await self._store.renew(
            list(by_run), self._lease_ms, lambda run: self._cancel(by_run[run])
        )
        if unknown:
            lost += await self._adopt(unknown)
        for held in due:
            if held.run in lost:
                self._lose(held)
            else:
                held.renew(sent_at)

    async def _adopt(self, runs: list[Claimed]) -> list[Claimed]:
        """Bring runs of one group back that the store has forgotten; return what is lost."""
        adoptions = [_adoption(run) for run in runs]
        lost = await self._store.adopt(self._worker_id, runs[0].group, adoptions, self._lease_ms)
        self.log.warning("runs_adopted", group=runs[0].group, count=len(runs) - len(lost))
        return lost


def _adoption(run: Claimed) -> Adoption:
    request = message.decode_request(run.body)
    return Adoption(run, request.tenant, request.job, request.handler, request.retry.attempts)


class _Guarding(Loop):
    """Gives runs up before their leases end.

    Apart from the renewals, because one whose reply does not come may outlast the lease.
    """

    def __init__(
        self,
        *,
        held: HeldRuns,
        clock: Clock,
        lose: Callable[[HeldRun], None],
        lease_ms: int,
        log: FilteringBoundLogger,
    ) -> None:
        super().__init__(log=log)
        self._held = held
        self._clock = clock
        self._lose = lose
        self._lease_ms = lease_ms

    async def turn(self) -> float:
        """Give up what was not renewed in time."""
        renewed = self._clock.monotonic() - _SAFE * self._lease_ms / 1000
        for held in self._held.snapshot():
            if held.renewed_at < renewed and not held.lost:
                self._lose(held)
        return self._lease_ms / 30_000


class Renewer:
    """The thread that keeps the leases of all held runs."""

    def __init__(
        self,
        *,
        url: str,
        worker_id: str,
        held: HeldRuns,
        clock: Clock,
        lose: Callable[[HeldRun], None],
        cancel: Callable[[HeldRun], None],
        reopened: Callable[[str], None],
        log: FilteringBoundLogger,
        lease_ms: int = LEASE_MS,
        gate_ms: int = GATE_MS,
    ) -> None:
        self._url = url
        self._gate_ms = gate_ms
        self._worker_id = worker_id
        self._held = held
        self._clock = clock
        self._lose = lose
        self._cancel = cancel
        self._reopened = reopened  # called with a group whose store may have lost writes
        self._log = log
        self._lease_ms = lease_ms
        self._renewing: _Renewing | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended = asyncio.Event()
        self.failed = asyncio.Event()

    async def start(self) -> None:
        """Start the thread; harmless if it runs."""
        if self._thread is None:
            main = asyncio.get_running_loop()
            ready = threading.Event()
            self._thread = threading.Thread(
                target=lambda: asyncio.run(self._main(main, ready)), name="renewer", daemon=True
            )
            self._thread.start()
            await asyncio.to_thread(ready.wait)

    def unready(self) -> str:
        """Return why leases are not kept; empty if they are, or if there are none."""
        if self.failed.is_set():
            return "the renewer has failed"
        if self._renewing is None or not len(self._held):
            return ""
        silent = self._clock.monotonic() - self._renewing.renewed_at
        if silent <= self._lease_ms / 1000:
            return ""
        return f"no lease was renewed for {silent:.0f} s"

    async def stop(self) -> None:
        """Stop the thread and wait for it; harmless if it does not run."""
        if self._thread is not None and self._loop is not None:
            self._loop.call_soon_threadsafe(self._ended.set)
            await asyncio.to_thread(self._thread.join)
            self._thread = None

    async def _main(self, main: asyncio.AbstractEventLoop, ready: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        link = Link(self._url, gate_ms=self._gate_ms)
        store = Store(link)

        def reopened(group: str, _: float) -> None:
            main.call_soon_threadsafe(self._reopened, group)

        store.epochs.reopened.append(reopened)
        loops = self._build(store, main)
        for loop in loops:
            await loop.start()
        watch = [asyncio.create_task(self._tell_failure(loop, main)) for loop in loops]
        ready.set()
        await self._ended.wait()
        for task in watch:
            task.cancel()
        for loop in loops:
            await loop.stop()
        await link.close()

    def _build(self, store: Store, main: asyncio.AbstractEventLoop) -> list[Loop]:
        def lose(held: HeldRun) -> None:
            main.call_soon_threadsafe(self._lose, held)  # the task belongs to the main loop

        def cancel(held: HeldRun) -> None:
            main.call_soon_threadsafe(self._cancel, held)

        self._renewing = _Renewing(
            worker_id=self._worker_id,
            store=store,
            held=self._held,
            clock=self._clock,
            lose=lose,
            cancel=cancel,
            lease_ms=self._lease_ms,
            log=self._log,
        )
        guarding = _Guarding(
            held=self._held,
            clock=self._clock,
            lose=lose,
            lease_ms=self._lease_ms,
            log=self._log,
        )
        return [self._renewing, guarding]

    async def _tell_failure(self, loop: Loop, main: asyncio.AbstractEventLoop) -> None:
        await loop.failed.wait()
        main.call_soon_threadsafe(self.failed.set)
