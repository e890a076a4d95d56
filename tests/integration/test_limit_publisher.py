"""The store knows the limits of the configuration, also after it has lost its data."""

import asyncio
from typing import Any

import msgspec
import pytest

from rota.common import keys
from rota.common.catalog import Catalog
from rota.common.errors import StoreUnavailable
from rota.common.limiter import Limiter
from rota.common.limits import GroupLimits, TenantLimits
from rota.common.scripts import LIMITS as SCRIPT
from rota.common.store import Store
from rota.scheduler.limit_publisher import LimitPublisher
from tests.support import probe
from tests.support.builders import GROUP, HANDLER
from tests.support.logbook import Logbook

RATED = TenantLimits(interval_ms=600.5, burst=2, max_backlog=9)
LIMITS = {
    "gold": GroupLimits(
        weight=3.0,
        max_concurrency=50,
        tenants={"acme": RATED, "bolt": TenantLimits()},
        handlers={HANDLER: 4},
    ),
    "silver": GroupLimits(tenants={"cato": TenantLimits(weight=2.0)}),
}


class Spy(Store):
    """A store that keeps which limits it was told, by group."""

    def __init__(self, store: Store) -> None:
        super().__init__(store.link)
        self.told: list[tuple[str, str, str]] = []  # group, kind, name
        self.fails = False

    async def ask(self, calls: Any) -> Any:
        """Take note and go on, or fail."""
        for operation, group, values in calls:
            if operation == SCRIPT and self.fails:
                raise StoreUnavailable("away")
            if operation == SCRIPT:
                self.told += [(group, *row) for row in zip(values[::7], values[1::7], strict=True)]
        return await super().ask(calls)


class Rig:
    """A publisher of limits and what it works on."""

    def __init__(self, store: Store) -> None:
        self.store = Spy(store)
        self.limiter = Limiter(self.store)
        self.publisher = LimitPublisher(limiter=self.limiter, log=Logbook().log)
        self.store.epochs.reopened.append(self.publisher.reopened)

    async def told(self, limits: dict[str, GroupLimits]) -> list[tuple[str, str, str]]:
        """Follow `limits`; return what was sent for it."""
        self.store.told.clear()
        await self.publisher.follow(limits)
        return self.store.told

    async def tenant(self, group: str, name: str) -> str:
        """Return the limits that the store has of a tenant."""
        found = await self.store.link.command("HGET", keys.tenant(group, name), "limits")
        return (found or b"").decode()

    async def caps(self, group: str) -> dict[bytes, bytes]:
        """Return what the store lets run at a time in a group."""
        found = await self.store.link.command("HGETALL", keys.caps(group))
        return {name: most for name, most in found.items() if most != b"0"}


@pytest.fixture
def rig(store: Store) -> Rig:
    """Return a publisher on an empty store."""
    return Rig(store)


def gold(**over: Any) -> dict[str, GroupLimits]:
    """Return `LIMITS` with other fields of group `gold`."""
    return LIMITS | {"gold": msgspec.structs.replace(LIMITS["gold"], **over)}


async def test_follow(rig: Rig) -> None:
    """The limits hold when they are followed, and are not sent again and again."""
    await rig.publisher.follow(LIMITS)
    rig.store.told.clear()
    for _ in range(3):
        await rig.publisher.turn()

    assert [] == rig.store.told
    weights = await Catalog(rig.store.link).weights(["gold", "silver"])
    assert {"gold": 3.0, "silver": 1.0} == weights
    assert "0 600.5 2 9" == await rig.tenant("gold", "acme")
    assert {b"": b"50", HANDLER.encode(): b"4"} == await rig.caps("gold")


@pytest.mark.parametrize(
    ("over", "expected"),
    [
        ({}, []),
        ({"weight": 1.0}, [("gold", "group", "")]),
        ({"handlers": {HANDLER: 5}}, [("gold", "handler", HANDLER)]),
        ({"handlers": {}}, [("gold", "handler", HANDLER)]),
        ({"tenants": {"acme": RATED, "bolt": RATED}}, [("gold", "tenant", "bolt")]),
        ({"tenants": {"acme": RATED}}, []),
        (
            {"tenants": LIMITS["gold"].tenants | {"new": TenantLimits()}},
            [("gold", "tenant", "new")],
        ),
    ],
)
async def test_only_what_differs(
    rig: Rig, over: dict[str, Any], expected: list[tuple[str, str, str]]
) -> None:
    """Of changed limits exactly those are sent that differ."""
    await rig.publisher.follow(LIMITS)

    assert expected == await rig.told(gold(**over))
    assert [] == await rig.told(gold(**over))


async def test_removed(rig: Rig) -> None:
    """A limit that the configuration no longer has, the store has no longer."""
    await rig.publisher.follow(LIMITS)
    tenants = dict.fromkeys(LIMITS["gold"].tenants, TenantLimits())
    await rig.publisher.follow(LIMITS | {"gold": GroupLimits(tenants=tenants)})

    assert "0 0 1 0" == (await rig.tenant("gold", "acme")).replace("0.0", "0")
    assert {} == await rig.caps("gold")
    assert {"gold": 1.0} == await Catalog(rig.store.link).weights(["gold"])


async def test_removed_while_nobody_ran(rig: Rig, store: Store) -> None:
    """Who starts later removes limits that the configuration had before."""
    await rig.publisher.follow(LIMITS)
    tenants = dict.fromkeys(LIMITS["gold"].tenants, TenantLimits())
    later = Rig(store)
    await later.publisher.follow({"gold": GroupLimits(tenants=tenants)})

    assert "0 0 1 0" == (await rig.tenant("gold", "acme")).replace("0.0", "0")
    assert {} == await rig.caps("gold")


async def test_gone_and_back(rig: Rig) -> None:
    """A group and a tenant that go keep their limits; coming back without, they have none."""
    await rig.publisher.follow(LIMITS)
    await rig.publisher.follow({"silver": GroupLimits()})
    caps, rated = await rig.caps("gold"), await rig.tenant("gold", "acme")
    weight = await rig.store.link.command("HGET", keys.tenant("silver", "cato"), "weight")
    both = {"gold": {"acme": TenantLimits()}, "silver": {"cato": TenantLimits()}}
    await rig.publisher.follow({g: GroupLimits(tenants=own) for g, own in both.items()})
    again = await rig.store.link.command("HGET", keys.tenant("silver", "cato"), "weight")

    assert {b"": b"50", HANDLER.encode(): b"4"} == caps
    assert "0 600.5 2 9" == rated
    assert (2.0, 1.0) == (float(weight), float(again))
    assert {} == await rig.caps("gold")
    assert "0 0 1 0" == (await rig.tenant("gold", "acme")).replace("0.0", "0")


async def test_back_as_it_was(rig: Rig) -> None:
    """A group that comes back is told all of its limits: nobody looked after it meanwhile."""
    everything = list(await rig.told(LIMITS))
    await rig.publisher.follow({"silver": LIMITS["silver"]})

    assert [row for row in everything if row[0] == "gold"] == await rig.told(LIMITS)


async def test_after_a_loss(rig: Rig, store: Store) -> None:
    """A store that lost its data is told all limits of the group again before its gate closes."""
    await rig.publisher.follow(LIMITS)
    await rig.publisher.start()
    await store.link.command("FLUSHALL")
    rig.store.told.clear()
    await rig.store.sweep("gold")
    await probe.until(lambda: ("gold", "tenant", "bolt") in rig.store.told)
    gate_ms = (await Catalog(store.link).leadership("gold")).gate_ms
    await rig.publisher.stop()

    assert gate_ms > 5_000
    assert {"gold"} == {group for group, _, _ in rig.store.told}
    assert "0 600.5 2 9" == await rig.tenant("gold", "acme")
    assert {b"": b"50", HANDLER.encode(): b"4"} == await rig.caps("gold")
    assert {"gold": 3.0} == await Catalog(store.link).weights(["gold"])


async def test_lost_while_it_is_told(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was sent just before the store lost its data is sent once more."""
    told, limit = [], rig.limiter.limit

    async def losing(group: str, limits: GroupLimits, before: GroupLimits | None = None) -> None:
        await limit(group, limits, before)
        told.append(before)
        if len(told) == 1:
            rig.publisher.reopened(group, 5.0)

    monkeypatch.setattr(rig.limiter, "limit", losing)
    await rig.publisher.follow({"gold": LIMITS["gold"]})
    await rig.publisher.turn()
    await rig.publisher.turn()

    assert [None, None] == told


async def test_store_is_away(rig: Rig) -> None:
    """What could not be sent is sent later, as a whole: the store may have some of it."""
    await rig.publisher.follow(LIMITS)
    rig.store.fails = True
    with pytest.raises(StoreUnavailable):
        await rig.publisher.follow(gold(weight=7.0))
    rig.store.fails = False
    rig.store.told.clear()
    await rig.publisher.turn()

    assert [("gold", "group", ""), ("gold", "handler", HANDLER)] == rig.store.told[:2]
    assert [
        ("gold", "ledger", ""),
        ("gold", "tenant", "acme"),
        ("gold", "tenant", "bolt"),
    ] == sorted(rig.store.told[2:])
    assert {"gold": 7.0} == await Catalog(rig.store.link).weights(["gold"])


async def test_followed_while_told_again(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits that change while the former ones are sent again are those that hold in the end."""
    await rig.publisher.follow({GROUP: GroupLimits(weight=2.0)})
    begun, go_on, limit = asyncio.Event(), asyncio.Event(), rig.limiter.limit

    async def slow(group: str, limits: GroupLimits, before: GroupLimits | None = None) -> None:
        if limits.weight == 2.0:  # the former ones
            begun.set()
            await go_on.wait()
        await limit(group, limits, before)

    monkeypatch.setattr(rig.limiter, "limit", slow)
    rig.publisher.reopened(GROUP, 5.0)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(rig.publisher.turn())
        await begun.wait()
        follows = rig.publisher.follow({GROUP: GroupLimits(weight=5.0)})
        await asyncio.wait([tasks.create_task(follows)], timeout=0.2)  # it is to wait for its turn
        go_on.set()

    assert {GROUP: 5.0} == await Catalog(rig.store.link).weights([GROUP])
