"""Which server is the master that sentinels manage."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from redis.exceptions import AskError, RedisError

from rota.common.errors import StoreUnavailable
from rota.common.link.server import CONNECT_TIMEOUT, Server, Servers
from rota.common.link.topology import part_of_a_cluster, told
from rota.common.link.url import Address, Host

CHECK_SECONDS = 1.0  # how long the sentinels' last answer is trusted without asking again
_MOMENT = 0.2  # seconds for a sentinel to answer after a majority has


class Sentinel:
    """The master that the sentinels name.

    An old master that still runs takes writes for some ten seconds after it was replaced, and they
    are lost. So as long as there are commands, the sentinels are asked again every second, beside.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self._sentinels = [Server(address.sentinel(host), host) for host in address.hosts]
        self._met = Servers(address.entry)
        self._master: Server | None = None
        self._asking = asyncio.Lock()
        self._asked_at = 0.0  # by the event loop's clock
        self._check: asyncio.Task[None] | None = None  # under way, or the last one

    async def servers(self, keys: Sequence[str | None]) -> list[Server | StoreUnavailable]:
        """Return the master, for each key."""
        if self._master is None:
            async with self._asking:
                # Whoever waited here finds that somebody else has asked.
                self._master = self._master or await self._discover()
        elif self._now() - self._asked_at > CHECK_SECONDS and not self._is_checking:
            self._check = asyncio.create_task(self._look_again(), name="sentinel-check")
        return [self._master] * len(keys)

    async def lost(self, server: Server) -> None:
        """Ask the sentinels before the next command."""
        if self._master is server:
            self._master = None
        await server.hang_up()

    def follow(self, server: Server, redirect: AskError) -> Server:
        """Raise `StoreError`: sentinels don't manage clusters."""
        raise part_of_a_cluster(self._address)

    async def close(self) -> None:
        """Close every connection."""
        if self._check is not None:
            self._check.cancel()
            await asyncio.wait([self._check])
        for sentinel in self._sentinels:
            await sentinel.close()
        await self._met.close()

    @property
    def _is_checking(self) -> bool:
        return self._check is not None and not self._check.done()

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    async def _look_again(self) -> None:
        with suppress(StoreUnavailable):  # the sentinels may be away as long as the master is not
            master, old = await self._discover(), self._master
            self._master = master
            if old not in (None, master):
                await old.hang_up(in_use=True)  # whoever is blocked there waits in vain

    async def _discover(self) -> Server:
        named, problems = await self._ask_all()
        self._asked_at = self._now()
        if named:
            _, host = max(named)  # the newest epoch: a sentinel may not know of the last failover
            master = self._met.at(host)
            try:
                ((role, *_),) = await master.ask(("ROLE",))
            except (RedisError, OSError) as error:
                await master.hang_up()
                problems.append(f"master {host}: {told(error)}")
            else:
                if role == b"master":
                    return master
                problems.append(f"{host}, their master, is a {role.decode()}")
        raise StoreUnavailable(
            f"store {self._address.shown} can't be reached: the sentinels lead to no master; "
            + "; ".join(problems)
        )

    async def _ask_all(self) -> "_Answers":
        """Ask all sentinels; a majority is enough, with a moment for the rest.

        Those may know of a newer failover; but a sentinel that is silent must not hold us up.
        """
        answers = _Answers([], [])
        asked = {asyncio.create_task(self._ask(each, answers)) for each in self._sentinels}
        pending, patience = asked, CONNECT_TIMEOUT
        try:
            while pending:
                done, pending = await asyncio.wait(
                    pending, timeout=patience, return_when=asyncio.FIRST_COMPLETED
                )
                if not done:
                    break
                if len(answers.named) > len(asked) // 2:
                    patience = _MOMENT
        finally:
            for task in asked:
                task.cancel()
        return answers

    async def _ask(self, sentinel: Server, answers: "_Answers") -> None:
        name = self._address.master
        try:
            # In this order: when a failover ends between the two, its epoch is not yet believed.
            facts, (host, port) = await sentinel.ask(
                ("SENTINEL", "MASTER", name), ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", name)
            )
        except (RedisError, OSError) as error:
            await sentinel.hang_up()
            answers.problems.append(f"{sentinel.host}: {told(error)}")
        else:
            epoch = int(facts[facts.index(b"config-epoch") + 1])
            answers.named.append((epoch, Host(host.decode(), int(port))))


class _Answers(NamedTuple):
    named: list[tuple[int, Host]]  # epoch of the last failover, and the master since
    problems: list[str]  # of the sentinels that named none
