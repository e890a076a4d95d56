"""Reads the replies to our calls in one group, and misses none."""

import asyncio
import secrets

from structlog.typing import FilteringBoundLogger

from rota.client.errors import CallLost
from rota.client.pending import Pending
from rota.common.calling import Attended, Calling, Reply
from rota.common.clock import Clock
from rota.common.errors import StoreError
from rota.common.service import Loop

_LOOK = 10.0  # seconds without a reply, after which we ask for it: lost writes may have taken it
_GLANCE = 0.5  # seconds between two looks at who waits for how long: they may be very many
_AGAIN = 1.0  # seconds after which we ask again for a call that the store did not know
_LOST = "{}: the store has lost this call; whether it was carried out is unknown"


class Inbox(Loop):
    """One blocking read for all calls. A reply that was read and did not arrive is asked for."""

    longest_pause = 1.0
    interruptible = True

    def __init__(
        self,
        group: str,
        *,
        calling: Calling,
        keep_ms: int,
        clock: Clock,
        log: FilteringBoundLogger,
    ) -> None:
        super().__init__(log=log)
        self.name = secrets.token_hex(8)
        self._group = group
        self._calling = calling
        self._keep_ms = keep_ms
        self._clock = clock
        self._pending: dict[str, list[Pending]] = {}
        self._unsure = False  # whether a read has failed, so that replies may be lost
        self._glance_at = 0.0  # monotonic seconds
        self._untold: list[str] = []  # whose replies were too many for the inbox

    def expect(self, pending: Pending) -> None:
        """Wait for the reply to this call."""
        self._pending.setdefault(pending.job_id, []).append(pending)
        self.wake()

    def expects(self, job_id: str) -> bool:
        """Tell whether anybody waits for the reply to this call."""
        return job_id in self._pending

    def forget(self, pending: Pending) -> None:
        """Wait for it no more."""
        others = [each for each in self._pending.get(pending.job_id, []) if each is not pending]
        if others:
            self._pending[pending.job_id] = others
        else:
            self._pending.pop(pending.job_id, None)

    async def turn(self) -> float | None:
        """Wait for replies, for 2 s at most; ask for those that don't come."""
        if not self._pending:
            return None
        if wanted := self._overdue():
            await self.look(wanted)
            self._unsure, self._untold = False, []
        try:
            replies, self._untold = await self._calling.replies(self._group, self.name)
        except (StoreError, asyncio.CancelledError):
            self._unsure = True
            raise
        for reply in replies:
            self._answer(reply)
        return 0

    def _overdue(self) -> list[str]:
        """Return whose replies to ask for."""
        now = self._clock.monotonic()
        if not self._unsure and now < self._glance_at:
            return [job_id for job_id in self._untold if job_id in self._pending]
        self._glance_at = now + _GLANCE
        untold = set(self._untold)
        return [
            job_id
            for job_id, (first, *_) in self._pending.items()
            if first.placed and (self._unsure or first.asked_at < now - _LOOK or job_id in untold)
        ]

    async def look(self, wanted: list[str]) -> None:
        """Ask for the replies to these calls; those that are not there yet will come here."""
        self._note(await self._calling.attend(self._group, self.name, wanted, self._keep_ms))

    def _note(self, found: Attended) -> None:
        for reply in found.replies:
            self._answer(reply)
        now = self._clock.monotonic()
        for job_id in found.waiting:
            for pending in self._pending.get(job_id, []):
                pending.asked_at, pending.missing = now, 0
        for job_id in found.unknown:
            for pending in self._pending.get(job_id, []):
                pending.asked_at, pending.missing = now - _LOOK + _AGAIN, pending.missing + 1
                if pending.missing > 1:  # else a worker may be about to bring it back
                    pending.fail(CallLost(_LOST.format(job_id)))

    def _answer(self, reply: Reply) -> None:
        for pending in self._pending.pop(reply.job_id, []):
            pending.answer(reply)
