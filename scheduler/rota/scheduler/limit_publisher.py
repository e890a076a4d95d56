"""Keeps the limits of the configuration known to the store, whose claims keep to them."""

import asyncio
from collections.abc import Mapping

from structlog.typing import FilteringBoundLogger

from rota.common.limiter import Limiter
from rota.common.limits import GroupLimits
from rota.common.service import Loop


class LimitPublisher(Loop):
    """Sends the limits that differ, and those of a group again whose store may have lost them.

    It has a loop of its own, to be early: claims begin again when the gate closes. A group that is
    no longer configured, and a tenant that has left one, keep their limits: their runs end by them.
    """

    interruptible = True  # what is half sent is sent again by whoever starts next

    def __init__(self, *, limiter: Limiter, log: FilteringBoundLogger) -> None:
        super().__init__(log=log)
        self._limiter = limiter
        self._wanted: Mapping[str, GroupLimits] = {}
        self._known: dict[str, GroupLimits] = {}  # what the store has for certain
        self._lost: set[str] = set()  # groups that were reopened since we began to send
        self._sending = asyncio.Lock()  # or else what is older might be set last

    async def follow(self, limits: Mapping[str, GroupLimits]) -> None:
        """Let these limits of groups hold; send only what differs.

        Of a tenant that is named the limits are sent, also if it has none; of one that is not they
        stay. After a `StoreError` call it again.
        """
        self._wanted = limits
        await self._publish()

    def reopened(self, group: str, _: float) -> None:
        """Send the limits of `group`, whose store may have lost them, as a whole."""
        self._known.pop(group, None)
        self._lost.add(group)
        self.wake()

    async def turn(self) -> None:
        """Send what the store may not know."""
        await self._publish()

    async def _publish(self) -> None:
        async with self._sending:
            for group in self._known.keys() - self._wanted.keys():
                del self._known[group]
            for group, limits in self._wanted.items():
                if self._known.get(group) != limits:
                    await self._send(group, limits)

    async def _send(self, group: str, limits: GroupLimits) -> None:
        self._lost.discard(group)
        # Whatever interrupts us, the store has then neither the one nor the other for certain.
        before = self._known.pop(group, None)
        await self._limiter.limit(group, limits, before)
        if group not in self._lost:
            self._known[group] = limits
