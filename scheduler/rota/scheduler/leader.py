"""Leads a group by a lease with a term, or stands by to take it over."""

from typing import Protocol

from structlog.typing import FilteringBoundLogger

from rota.common.clock import Clock
from rota.common.errors import StoreError
from rota.common.service import Loop
from rota.common.store import Store
from rota.scheduler.balance import Balance

TTL = 6.0  # seconds that a leader may be silent
_SILENT = 10.0  # seconds without an answer of the store after which we are not ready
_MARGIN = 1.0  # seconds before its lease's end at which a leader no longer trusts itself


class Led(Protocol):
    """What is done for a group while it is led."""

    async def begin(self) -> None:
        """Take up where the store says the last leader was."""
        ...

    async def end(self) -> None:
        """Stop; another scheduler may have begun."""
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
        self.longest_pause = TTL / 4
        self.term = 0  # the term in which we lead; 0 while we do not
        self._group = group
        self._id = scheduler_id
        self._led = led
        self._balance = balance
        self._store = store
        self._clock = clock
        self._trusted_until = 0.0
        self._heard_at = clock.monotonic()  # when the store answered last
        self._free_since: float | None = None

    async def turn(self) -> float:
        """Renew the lease, try to get it, or give it up."""
        if self.term and self._balance.should_give():
            await self._resign()
            return TTL
        sent_at = self._clock.monotonic()
        try:
            lead = await self._store.lead(
                self._group, self._id, int(TTL * 1000), wanted=bool(self.term) or self._wanted()
            )
        except StoreError:
            if self.term and sent_at >= self._trusted_until:
                await self._lose("the store can't be reached")
            raise
        self._heard_at = self._clock.monotonic()
        self._balance.note(lead.schedulers)
        if lead.term:
            self._trusted_until = sent_at + TTL - _MARGIN
            await self._gain(lead.term)
        elif self.term:
            await self._lose(f"{lead.leader} leads it")
        elif lead.leader:
            self._free_since = None
        elif self._free_since is None:
            self._free_since = sent_at
        return TTL / 3

    def unready(self) -> str:
        """Return why the group is not looked after; empty if we lead it, or stand by."""
        if self.failed.is_set():
            return "a part has failed"
        silent = self._clock.monotonic() - self._heard_at
        return f"no answer from the store for {silent:.0f} s" if silent > _SILENT else ""

    async def stop(self) -> None:
        """Stop, and leave the group to whoever stands by."""
        await super().stop()
        if self.term:
            try:
                await self._resign()
            except StoreError as error:
                await self._lose(str(error))

    def _wanted(self) -> bool:
        # A group that stays free is taken even beyond our share: better led by us than by nobody.
        long_free = self._free_since is not None and (
            self._clock.monotonic() - self._free_since >= TTL / 3
        )
        return self._balance.may_take() or long_free

    async def _gain(self, term: int) -> None:
        if self.term == term:
            return
        if self.term:
            await self._lose("the store has forgotten that we lead it")
        await self._led.begin()
        self.term = term
        self._balance.led.add(self._group)
        self.log.info("group_led", group=self._group, term=term)

    async def _lose(self, reason: str) -> None:
        self.term = 0
        self._free_since = None
        self._balance.led.discard(self._group)
        await self._led.end()
        self.log.warning("group_lost", group=self._group, reason=reason)

    async def _resign(self) -> None:
        self.term = 0
        self._free_since = None
        self._balance.led.discard(self._group)
        await self._led.end()
        await self._store.resign(self._group, self._id)
        self.log.info("group_given_up", group=self._group)
