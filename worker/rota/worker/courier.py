"""Carries completions to the store and claimed runs back, many in one round trip."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from structlog.typing import FilteringBoundLogger

from rota.common.clock import Clock
from rota.common.errors import StoreError, StoreUnavailable
from rota.common.link import LONGEST_BLOCK
from rota.common.run import Claim, Ended, Resting
from rota.common.service import Loop
from rota.common.store import LEASE_MS, Store
from rota.worker.ahead import MOST, PATIENCE, Ahead
from rota.worker.bell import Bell
from rota.worker.held import HeldRun, HeldRuns
from rota.worker.history import History
from rota.worker.shares import Shares

_DEAF = 10.0  # seconds without an answer to a claim, with free places: then we take us for deaf
_AWAY = 0.5  # seconds between tries while the server of some groups is away


class Courier(Loop):
    """Each turn sends all that has ended and claims for all free places.

    Under load a turn takes as long as a round trip, and whatever ends meanwhile goes with the next:
    the batch grows with the load, and an idle worker never waits for a batch to fill. While runs
    end fast it claims some ahead, which are carried out while the next round trip is under way.
    """

    def __init__(
        self,
        *,
        worker_id: str,
        concurrency: int,
        store: Store,
        held: HeldRuns,
        clock: Clock,
        begin: Callable[[HeldRun], None],
        register: Callable[[], Awaitable[None]],
        log: FilteringBoundLogger,
        lease_ms: int = LEASE_MS,
        ahead: Ahead | None = None,
    ) -> None:
        super().__init__(log=log)
        self._ahead = ahead or Ahead(clock)
        self._worker_id = worker_id
        self._concurrency = concurrency
        self._store = store
        self._held = held
        self._clock = clock
        self._begin = begin
        self._register = register
        self._lease_ms = lease_ms
        self._shares = Shares()
        self._bells: dict[str, Bell] = {}
        self._ended: list[Ended] = []
        self._resting: list[Resting] = []
        # Groups to ask for their epoch: each must hear before its gate closes what has ended there.
        self._asked: set[str] = set()
        self._rang: set[str] = set()  # groups whose bell rang since the last claim was sent
        self.longest_pause = lease_ms / 6000
        self._answered: dict[str, float] = {}  # monotonic time of each group's last answered claim
        self._away: dict[str, float] = {}  # groups without answer, and until when others go first
        self._free_since = 0.0  # monotonic time since which there are free places
        self._turning = asyncio.Lock()
        self._history = History(clock, self.log)
        store.epochs.reopened.append(self._replay)
        self.draining = False
        self._last = False  # whether nothing more is sent after this: then we wait for every server

    @property
    def groups(self) -> list[str]:
        """Return the groups served."""
        return self._shares.groups

    async def serve(self, group: str) -> None:
        """Serve `group` from now on; harmless if it is served already, or if we drain."""
        if group not in self._bells and not self.draining:
            bell = Bell(
                group,
                worker_id=self._worker_id,
                store=self._store,
                rung=self._rung,
                unheard=self.look,
                log=self.log,
            )
            bell.failed = self.failed  # without it we are deaf: its failure is ours
            self._bells[group] = bell
            self._answered[group] = self._clock.monotonic()
            self._shares.set_ready(group, True)
            await bell.start()
            self.wake()

    def weigh(self, weights: Mapping[str, float]) -> None:
        """Divide free places between the groups by these weights from now on."""
        for group, weight in weights.items():
            self._shares.set_weight(group, weight)

    async def drain(self) -> None:
        """Claim no more, and return when all that was claimed is held; go on sending what ends."""
        self.draining = True
        async with self._turning:
            self.wake()

    def report(self, held: HeldRun, report: Ended | Resting | None) -> None:
        """Send how a run ended with the next turn; None if there is nothing to write for it."""
        now = self._clock.monotonic()
        if len(self._held) >= self._concurrency:
            self._free_since = now
        self._held.drop(held)
        self._ahead.count()
        self._shares.settle(held.run.group, held.charged_ms, held.took(now) * 1000)
        if isinstance(report, Ended):
            self._ended.append(report)
        elif report is not None:
            self._resting.append(report)
        self.wake()

    async def give_back(self, runs: Sequence[HeldRun]) -> None:
        """Give back, uncounted, runs that have not begun.

        Raises `StoreUnavailable`: then they are left to their leases.
        """
        for held in runs:
            self._held.drop(held)
            self._shares.settle(held.run.group, held.charged_ms, 0.0)
        # The last one first: each is put in front of its queue.
        await self._store.release([held.run for held in reversed(runs)])

    def look(self, group: str) -> None:
        """Ask the store whether it was reopened, though there may be nothing else to ask it."""
        self._asked.add(group)
        self.wake()

    def unready(self) -> str:
        """Return why no new work comes through; empty if it does, or if there is no place for it.

        Connected is not enough: an idle worker claims every few seconds, and is answered.
        """
        if self.draining:
            return "draining: it claims no more"
        if self.failed.is_set():
            return "a part has failed"
        if not self._answered:
            return "it serves no group yet"
        heard = self._clock.monotonic() - _DEAF
        if self._free and self._free_since < heard:
            deaf = sorted(group for group, at in self._answered.items() if at < heard)
            if deaf:
                return f"deaf: no claim was answered for {_DEAF:g} s in {', '.join(deaf)}"
        return ""

    async def stop(self) -> None:
        """Stop listening and claiming; send what is left."""
        await self.drain()
        await asyncio.gather(*(self._silence(bell) for bell in self._bells.values()))
        await super().stop()
        self._last = True
        try:
            while self._ended or self._resting:
                await self.turn()
        except StoreError as error:
            left = len(self._ended) + len(self._resting)
            self.log.warning("completions_not_sent", count=left, error=str(error))

    async def turn(self) -> float | None:
        """Make one round trip if there is anything to send or to claim."""
        async with self._turning:
            return await self._turn()

    async def _turn(self) -> float | None:
        if late := self._ahead.late():
            await self.give_back(late)
        wanted = self._wanted()
        if wanted or self._ended or self._resting or self._asked:
            try:
                all_answered = await self._exchange(wanted)
            except StoreUnavailable:
                self._arm()  # groups that were not asked may be on other servers
                raise
            if not all_answered:
                self._arm()
                return _AWAY
            if self._ended or self._resting or self._wanted():
                return 0
        self._arm()
        return PATIENCE if len(self._held) > self._concurrency else None

    async def _exchange(self, wanted: dict[str, int]) -> bool:
        """Make the round trip; tell whether the servers of all groups answered."""
        ended, self._ended = self._ended[:MOST], self._ended[MOST:]
        resting, self._resting = self._resting[:MOST], self._resting[MOST:]
        asked = wanted | {group: 0 for group in self._asked if group not in wanted}
        self._rang.clear()
        sent_at = self._clock.monotonic()
        self._away |= dict.fromkeys(wanted, sent_at + _AWAY)  # unless they answer
        try:
            words, claims = await self._store.exchange(
                self._worker_id,
                ended,
                resting,
                asked,
                lease_ms=self._lease_ms,
                apart=not self._last,
            )
        except StoreError:
            # Sent again with the next turn: the scripts take the same report twice as once.
            self._ended = ended + self._ended
            self._resting = resting + self._resting
            self._asked.update(self._bells)
            raise
        all_told = self._told(ended, resting, words)
        self._asked = (self._asked | asked.keys()) - claims.keys()
        for group, claim in claims.items():
            self._answered[group] = self._clock.monotonic()
            self._away.pop(group, None)
            if group not in wanted:
                continue
            # A bell that rang meanwhile tells of runs that this claim may have come too early for.
            ready = claim.more or not claim.registered or group in self._rang
            self._shares.set_ready(group, ready and not claim.wait_s)
            if claim.wait_s:
                asyncio.get_running_loop().call_later(claim.wait_s, self._rung, group)
            self._take(claim, sent_at)
        if any(not claim.registered for claim in claims.values()):
            await self._register()
        return all_told and len(claims) == len(asked)

    def _told(self, ended: list[Ended], resting: list[Resting], words: Mapping[str, str]) -> bool:
        """Take note of the words for what was reported; keep what got none; tell if all got one."""
        known = self._history.note(ended, words)
        unsent = [end for end in ended if end.run.job_id not in words]
        unrested = [rest for rest in resting if rest.run.job_id not in words]
        self._ended, self._resting = unsent + self._ended, unrested + self._resting
        for job_id, word in words.items():
            if word == "stale" and job_id not in known:
                self.log.warning("completion_refused", job_id=job_id, reason="the lease was lost")
        return not unsent and not unrested

    def _take(self, claim: Claim, sent_at: float) -> None:
        now = self._clock.monotonic()
        for run in claim.runs:
            charged = self._shares.charge(run.group)
            held = HeldRun(run, sent_at, sent_at, charged, now)
            self._held.add(held)
            self._begin(held)
        if len(self._held) > self._concurrency and not self._ahead.allows(claim.runs):
            self.wake()

    def _replay(self, group: str, wait_s: float) -> None:
        """Send the last completions once more: the store may have lost them."""
        again = [end for end in self._history.of(group) if end.run not in self._history.again]
        self._history.again.update(end.run for end in again)
        self.log.warning("store_reopened", group=group, gate_s=wait_s, completions=len(again))
        self._ended += again
        self._asked.update(self._bells)  # they may be on the same server
        self.wake()

    @property
    def _free(self) -> int:
        if self.draining:
            return 0
        return max(0, self._concurrency + self._ahead.places() - len(self._held))

    def _wanted(self) -> dict[str, int]:
        places, now = min(self._free, MOST), self._clock.monotonic()
        away = {group for group, until in self._away.items() if until > now}
        # No bell tells a worker without free places; so ask as often as an idle one looks.
        for group, at in self._answered.items():
            if at < now - LONGEST_BLOCK:
                self._shares.set_ready(group, True)
        return self._shares.split(places, away) or self._shares.split(places)

    def _arm(self) -> None:
        if self._free:
            ready = self._shares.ready
            for group, bell in self._bells.items():
                if group not in ready:
                    bell.arm()

    def _rung(self, group: str) -> bool:
        self._rang.add(group)
        self._shares.set_ready(group, True)
        self.wake()
        return self._free > 0

    async def _silence(self, bell: Bell) -> None:
        await bell.stop()
        try:
            await self._store.ring(bell.group)  # it may have been given a token that we don't use
        except StoreError:
            self.log.debug("token_not_handed_on", group=bell.group)
