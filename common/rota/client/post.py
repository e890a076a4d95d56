"""Places calls in one group, all of a turn in one round trip."""

from structlog.typing import FilteringBoundLogger

from rota.client.inbox import Inbox
from rota.client.pending import Pending
from rota.common.calling import MOST, Calling, CallRun
from rota.common.clock import Clock
from rota.common.errors import Refused, StoreError
from rota.common.service import Loop
from rota.common.store import GATED

_BATCH = 20 * MOST  # calls in one round trip
_SHED = "not called: {} has as many queued runs as its max_backlog allows; try again later"
_GATED = 0.5  # seconds between tries while the group's gate is open: there may be very many


class Post(Loop):
    """What is asked for while a round trip is under way goes with the next: batches grow with load.

    A call whose placing has no known outcome is sent again: the store takes it once.
    """

    longest_pause = 1.0

    def __init__(
        self,
        group: str,
        *,
        calling: Calling,
        inbox: Inbox,
        clock: Clock,
        log: FilteringBoundLogger,
    ) -> None:
        super().__init__(log=log)
        self._inbox = inbox
        self._group = group
        self._calling = calling
        self._clock = clock
        self._queue: list[Pending] = []
        self._forgone: list[str] = []

    def send(self, pending: Pending) -> None:
        """Place the call with the next turn."""
        self._queue.append(pending)
        self.wake()

    def forgo(self, job_id: str) -> None:
        """Tell the store that nobody waits for this call any more."""
        self._forgone.append(job_id)
        self.wake()

    async def turn(self) -> float | None:
        """Send what there is."""
        delay = await self._place() if self._queue else None
        if self._forgone:
            forgone, self._forgone = self._forgone, []
            # Not sent again: its own deadline ends it, too.
            await self._calling.forgo(self._group, self._inbox.name, forgone)
        return 0 if delay is None and (self._queue or self._forgone) else delay

    async def _place(self) -> float | None:
        batch, self._queue = self._queue[:_BATCH], self._queue[_BATCH:]
        batch = [pending for pending in batch if not pending.reply.done()]
        runs = [self._sendable(pending) for pending in batch]
        for pending in batch:
            pending.tried = True
        try:
            words = await self._calling.place(self._group, runs) if runs else []
        except StoreError:
            self._queue = batch + self._queue
            raise
        again, known = [], []
        for pending, word in zip(batch, words, strict=True):
            if word in ("", GATED):
                again.append(pending)
            elif word == "shed":
                pending.fail(Refused(_SHED.format(pending.ref.partition("/")[0])))
            else:
                self._placed(pending)
                if word != "queued" and not pending.reply.done():
                    known.append(pending.job_id)
        self._queue = again + self._queue
        if known:  # their replies may be there, or go to another inbox
            await self._inbox.look(known)
        return _GATED if again else None

    def _sendable(self, pending: Pending) -> CallRun:
        """Return what to place: the store counts the time from when it takes it, we from before."""
        assert pending.run is not None
        if not pending.tried or not pending.run.timeout_ms:
            return pending.run
        left = max(1, int((pending.deadline - self._clock.monotonic()) * 1000))
        return pending.run._replace(timeout_ms=min(left, pending.run.timeout_ms))

    def _placed(self, pending: Pending) -> None:
        pending.placed = True
        pending.asked_at = self._clock.monotonic()
        if pending.run is not None and not pending.run.inbox:
            pending.answer(None)  # that it is accepted is all that its caller waits for
