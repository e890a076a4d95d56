"""The groups that this scheduler takes part in: a leader for each that is configured."""

import asyncio
from collections.abc import Callable, Mapping
from typing import NamedTuple

from structlog.typing import FilteringBoundLogger

from rota.common.catalog import Catalog
from rota.common.service import Loop
from rota.scheduler.applied import Applied
from rota.scheduler.balance import Balance
from rota.scheduler.leader import Leader
from rota.scheduler.led_group import LedGroup


class Member(NamedTuple):
    """One group."""

    leader: Leader
    led: LedGroup


class Groups:
    """Begins with groups that are new, and gives up those that are gone when their runs have ended.

    A group that the configuration no longer has is led on without jobs until then: somebody has to
    promote its retries and to rescue its runs.
    """

    def __init__(
        self,
        *,
        build: Callable[[str], Member],
        watch: Callable[[Loop], asyncio.Task[None]],
        balance: Balance,
        catalog: Catalog,
        log: FilteringBoundLogger,
    ) -> None:
        self._build = build
        self._watch = watch
        self._watching: dict[str, asyncio.Task[None]] = {}
        self._balance = balance
        self._catalog = catalog
        self._log = log
        self._members: dict[str, Member] = {}
        self._wanted: set[str] = set()
        self._idle: set[str] = set()  # groups that are gone, and had no run when we looked last
        self._started = False

    @property
    def leaders(self) -> dict[str, Leader]:
        """Return the leader of each group."""
        return {group: member.leader for group, member in self._members.items()}

    async def start(self) -> None:
        """Begin to lead, or to stand by, also in groups that come later."""
        self._started = True
        for group in list(self._members):
            await self._start(group)

    async def stop(self) -> None:
        """Give all groups up."""
        self._started = False
        await asyncio.gather(*(member.leader.stop() for member in self._members.values()))

    async def follow(self, applied: Applied) -> None:
        """Have the groups and jobs of `applied`. After a `StoreError` call it again."""
        self._wanted = set(applied.jobs)
        for group, member in self._members.items():
            # All first: a job may have moved from one group to another.
            wanted = {job.ref for job in applied.jobs.get(group, ())}
            member.led.drop(member.led.held - wanted)
        for group in applied.jobs:
            await self._add(group)
        for group, member in self._members.items():
            await member.led.follow(applied.jobs.get(group, ()), applied.since)

    async def drain(self, known: set[str]) -> None:
        """Look after groups that the store still knows and the configuration does not have.

        They are withdrawn when they had no run two times in succession: while one moves it may be
        overlooked.
        """
        for group in sorted((known | self._members.keys()) - self._wanted):
            counts = await self._catalog.counts(group)
            waiting = counts.queued + sum(counts.held.values()) + counts.retrying + counts.fanned
            if group in known and (waiting or counts.running):
                self._idle.discard(group)
                await self._add(group)
            elif group in known and group not in self._idle:
                self._idle.add(group)
            else:
                await self._remove(group, withdraw=group in known)

    async def _add(self, group: str) -> None:
        if group not in self._members:
            self._members[group] = self._build(group)
            self._balance.groups = len(self._members)
            if self._started:
                await self._start(group)

    async def _start(self, group: str) -> None:
        leader = self._members[group].leader
        self._watching[group] = self._watch(leader)
        await leader.start()

    async def _remove(self, group: str, *, withdraw: bool) -> None:
        if withdraw:
            await self._catalog.withdraw([group])
            self._log.info("group_withdrawn", group=group)
        self._idle.discard(group)
        member = self._members.get(group)
        if member is not None:
            await member.leader.stop()
            member.led.close()
            if group in self._watching:
                self._watching.pop(group).cancel()
            del self._members[group]
            self._balance.forget(group)
            self._balance.groups = len(self._members)


def unready(leaders: Mapping[str, Leader]) -> str:
    """Return why a group is not looked after; empty if all are."""
    reasons = ((group, leader.unready()) for group, leader in leaders.items())
    return next((f"group {group}: {reason}" for group, reason in reasons if reason), "")
