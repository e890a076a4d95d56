"""The limits that hold are those of the revision that schedulers follow."""

import pytest

from rota.common import keys
from rota.common.catalog import Catalog
from rota.common.limiter import Limiter
from rota.common.limits import GroupLimits, TenantLimits
from rota.common.store import Store
from rota.scheduler import follower
from rota.scheduler.applier import Applier
from tests.support import probe, schedulers
from tests.support.builders import GROUP, HANDLER
from tests.support.configurations import apply, followed
from tests.support.definitions import job
from tests.support.schedulers import RARE, Rig

LIMITED = GroupLimits(
    weight=2.0,
    max_concurrency=9,
    tenants={"acme": TenantLimits(max_concurrency=5, interval_ms=600.0, burst=2)},
    handlers={HANDLER: 3},
)
UNLIMITED: tuple[str, dict[bytes, bytes], float] = ("0 0 1 0", {}, 1.0)
HELD = ("5 600 2 0", {b"": b"9", HANDLER.encode(): b"3"}, 2.0)


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let schedulers look often, so that no test waits long."""
    monkeypatch.setattr(follower, "_PERIOD", 0.1)


async def limits_of(store: Store) -> tuple[str, dict[bytes, bytes], float]:
    """Return what the store has of the limits of a tenant, of handlers, and of the group."""
    tenant = await store.link.command("HGET", keys.tenant(GROUP, "acme"), "limits") or b"0 0 1 0"
    caps = await store.link.command("HGETALL", keys.caps(GROUP))
    weights = await Catalog(store.link).weights([GROUP])
    shown = " ".join(f"{float(value):g}" for value in tenant.decode().split())
    return shown, {name: most for name, most in caps.items() if most != b"0"}, weights[GROUP]


async def test_come_and_go(url: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """An apply sets the limits of the group that it changes, and going back removes them."""
    told: list[str] = []
    limit = Limiter.limit

    async def noted(self: Limiter, group: str, *limits: GroupLimits | None) -> None:
        told.append(group)
        await limit(self, group, *limits)  # type: ignore[arg-type]

    jobs = [job(every=RARE), job("bolt/x", every=RARE, group="other")]
    async with schedulers.running(url, *jobs) as rig:
        before = await limits_of(store)
        monkeypatch.setattr(Limiter, "limit", noted)
        made = await apply(store, *jobs, limits={GROUP: LIMITED})
        await followed(rig, made)
        held = await limits_of(store)
        applier = Applier(store.link, command="test")
        (earlier,) = [each for each in await applier.revisions.kept() if each.number == 1]
        config = (await applier.read(earlier)).applied.config
        await followed(rig, await applier.apply(config, await applier.current()))
        after = await limits_of(store)
    second = await applier.read(made)

    assert (UNLIMITED, HELD, UNLIMITED) == (before, held, after)
    assert [GROUP, GROUP] == told
    assert {GROUP: LIMITED} == second.applied.config.limits


async def test_after_a_loss(url: str, store: Store) -> None:
    """A store that was emptied has all limits again before its gate closes."""
    rig = Rig(url, [job(every=RARE)], gate_ms=10_000)
    await rig.daemon.start()
    try:
        await followed(rig, await apply(store, job(every=RARE), limits={GROUP: LIMITED}))
        await store.link.command("FLUSHALL")

        async def back() -> bool:
            return HELD == await limits_of(store)

        await probe.found(back)
        gate_ms = (await Catalog(store.link).leadership(GROUP)).gate_ms
        await probe.until(lambda: rig.book.events("revision_restored"))
        revision = await Applier(store.link, command="test").current()
    finally:
        await rig.daemon.stop()

    assert gate_ms > 1_000
    assert revision is not None
    assert {GROUP: LIMITED} == revision.applied.config.limits
