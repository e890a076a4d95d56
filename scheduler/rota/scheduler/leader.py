"""Leads a group by a lease with a term, or stands by to take it over."""

import asyncio
from typing import Protocol

from structlog.typing import FilteringBoundLogger

from rota.common.clock import Clock
from rota.common.errors import StoreError, StoreUnavailable
from rota.common.run import Lead
from rota.common.service import Loop
from rota.common.store import Store
from rota.scheduler.balance import Balance

TTL = 6.0  # seconds that a leader may be silent
_SILENT = 10.0  # seconds without an answer of the store after which we are not ready
_MARGIN = 1.0  # seconds before its lease's end at which a leader no longer trusts itself
_FREE = 0.5  # seconds until we look again at a group that nobody leads


class Led(Protocol):
    """What is done for a group while it is led."""

    async def begin(self) -> int:
        """Take up where the store says the last leader was; return how many runs are adopted.

        Has begun nothing if it raises `StoreError`. May be cancelled; `end` follows then.
        """
        ...

    async def end(self) -> None:
        """Stop; keep in mind what was in flight, in case the store forgets it."""
        ...

    def forget(self) -> None:
        """Keep nothing in mind: another scheduler looks after the runs now."""
        ...


class Leader(Loop):
    """Renews the lease every 2 s; a standby looks as often.

    An error while acquiring means not leader. A leader that can't renew trusts itself only until
    a second before the lease that it last got would end, counted from before that request.
    """

    def __init__(
        self,
        group: str,
        *,
        scheduler_id: str,
        led: Led,
        balance: Balance,
        store: Store,
        clock: Clock,
        log: FilteringBoundLogger,
    ) -> None:
        super().__init__(log=log)
        self.longest_pause = _MARGIN / 2  # we must stop before the lease ends
        self.term = 0  # the term in which we lead; 0 while we do not
        self._group = group
        self._id = scheduler_id
        self._led = led
        self._balance = balance
        self._store = store
        self._clock = clock
        self._beginning: asyncio.Task[int] | None = None
        self._last = False  # whether we led last, as far as we know
        self._trusted_until = 0.0
        self._heard_at = clock.monotonic()  # when the store answered last
        self._free_since: float | None = None
        self._left_until = 0.0  # until then a group that we gave up is left to others

    async def turn(self) -> float:
        """Renew the lease, try to get it, or give it up."""
        if self.term and self._balance.should_give():
            await self._leave()
            await self._store.resign(self._group, self._id)
            self._left_until = self._clock.monotonic() + TTL
            return TTL / 3
        sent_at = self._clock.monotonic()
        lead = await self._asked(sent_at)
        self._heard_at = self._clock.monotonic()
        self._balance.note(self._group, lead.schedulers)
        if lead.term:
            self._trusted_until = sent_at + TTL - _MARGIN
            await self._gain(lead.term)
        else:
            await self._stand_by(lead)
        return self._pause(lead)

    def unready(self) -> str:
        """Return why the group is not looked after; empty if we lead it, or stand by."""
        if self.failed.is_set():
            return "a part has failed"
        silent = self._clock.monotonic() - self._heard_at
        return f"no answer from the store for {silent:.0f} s" if silent > _SILENT else ""

    async def stop(self) -> None:
        """Stop, and leave the group to whoever stands by."""
        await super().stop()
        await self._leave()
        try:
            await self._store.resign(self._group, self._id)
        except StoreError as error:
            self.log.debug("not_resigned", group=self._group, error=str(error))

    async def _asked(self, sent_at: float) -> Lead:
        wanted = self._last or self._wanted()
        if wanted:
            self._balance.asked.add(self._group)
        try:
            # No answer counts as much as a bad one.
            async with asyncio.timeout(
                max(1.0, self._trusted_until - sent_at) if self.term else None
            ):
                return await self._store.lead(
                    self._group, self._id, int(TTL * 1000), wanted=wanted, led_last=self._last
                )
        except StoreError:
            if self.term and self._clock.monotonic() >= self._trusted_until:
                await self._lose("the store can't be reached")
            raise
        except TimeoutError:
            await self._lose("the store can't be reached")
            raise StoreUnavailable("no answer in time to go on leading") from None
        finally:
            self._balance.asked.discard(self._group)

    def _wanted(self) -> bool:
        # A group that stays free is taken even beyond our share: better led by us than by nobody.
        now = self._clock.monotonic()
        long_free = self._free_since is not None and now - self._free_since >= TTL / 3
        return now >= self._left_until and (self._balance.may_take() or long_free)

    def _pause(self, lead: Lead) -> float:
        if self._beginning is not None:
            return 0
        if self.term or lead.leader:
            return TTL / 3
        return max(_FREE, min(lead.wait_s, TTL / 3))

    async def _gain(self, term: int) -> None:
        self._free_since = None
        if self.term != term:
            if self.term:
                await self._lose("the store has forgotten that we lead it")
            # Before the group begins: what it fires from then on is sent in this term.
            self.term, self._last = term, True
            self._balance.led.add(self._group)
            self._beginning = asyncio.create_task(self._led.begin())
        if self._beginning is not None:
            await self._wait_for(self._beginning)

    async def _wait_for(self, beginning: asyncio.Task[int]) -> None:
        """Wait for the group to begin, but not for so long that our lease is not renewed."""
        await asyncio.wait([beginning], timeout=TTL / 3)
        if not beginning.done():
            return
        self._beginning = None
        if beginning.exception() is not None:
            self.term = 0
            self._balance.led.discard(self._group)
        in_flight = beginning.result()
        self.log.info("group_led", group=self._group, term=self.term, in_flight=in_flight)

    async def _stand_by(self, lead: Lead) -> None:
        if self.term:
            await self._lose(f"led by {lead.leader or 'nobody'}")
        if lead.leader:
            self._left_until = 0.0
            self._forget()
        if lead.leader or lead.wait_s:
            self._free_since = None
        elif self._free_since is None:
            self._free_since = self._clock.monotonic()

    async def _lose(self, reason: str) -> None:
        self.log.warning("group_lost", group=self._group, reason=reason)
        await self._end()

    async def _leave(self) -> None:
        if self.term:
            self.log.info("group_given_up", group=self._group)
            await self._end()
        self._forget()

    async def _end(self) -> None:
        self.term = 0
        self._balance.led.discard(self._group)
        beginning, self._beginning = self._beginning, None
        if beginning is not None:
            beginning.cancel()
            await asyncio.gather(beginning, return_exceptions=True)
        await self._led.end()

    def _forget(self) -> None:
        if self._last:
            self._last = False
            self._led.forget()
