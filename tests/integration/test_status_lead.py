"""What `sched status` tells of schedulers: who leads each group, that nobody does, and the gate."""

import pytest

from rota.common import keys
from rota.common.catalog import Catalog
from rota.common.store import Store
from rota.scheduler import status, status_page
from rota.scheduler.status import GroupRow, Status
from tests.support import builders
from tests.support.builders import GROUP, Clock
from tests.support.definitions import job

TTL_MS = 6_000


async def lead(store: Store, scheduler: str, *, wanted: bool = True) -> None:
    """Let a scheduler lead the group, or stand by."""
    await store.lead(GROUP, scheduler, TTL_MS, wanted=wanted)


async def gathered(store: Store) -> Status:
    """Return the status of a store with one group, which a worker serves."""
    await Catalog(store.link).publish(GROUP, [job("acme/import", every="1h")])
    await builders.register(store)
    return await status.gather(Catalog(store.link))


async def only_group(store: Store) -> GroupRow:
    """Return what is told of the only group."""
    (row,) = (await gathered(store)).groups
    return row


def shown(result: Status, capsys: pytest.CaptureFixture[str]) -> str:
    """Return what is printed for people."""
    status_page.show(result, now=Clock())
    return capsys.readouterr().out


def notes(text: str) -> list[str]:
    """Return the warnings in what is printed."""
    return [line for line in text.split("\n") if line.startswith("!")]


async def test_leader(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    """A group tells who leads it and how many schedulers there are, and warns of nothing then."""
    await lead(store, "s1")
    await lead(store, "s2")
    result = await gathered(store)
    text = shown(result, capsys)

    assert ("s1", 2) == (result.groups[0].leader, result.groups[0].schedulers)
    assert 1 == len([line for line in text.split("\n") if line.endswith("  s1")])
    assert "LEADER\n" in text
    assert [] == notes(text)


async def test_no_scheduler(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a group that no scheduler ever led it is said that nothing but its queue goes on."""
    result = await gathered(store)

    assert (None, 0) == (result.groups[0].leader, result.groups[0].schedulers)
    assert ["! nobody leads group gold: only its queue goes on (is a scheduler running?)"] == notes(
        shown(result, capsys)
    )


async def test_leader_resigned(store: Store) -> None:
    """A scheduler that has stopped is told of no more."""
    await lead(store, "s1")
    await store.resign(GROUP, "s1")
    row = await only_group(store)

    assert (None, 0) == (row.leader, row.schedulers)


async def test_leader_was_killed(store: Store) -> None:
    """A scheduler that is gone without a word leads until its lease has ended, and no longer."""
    await lead(store, "s1")
    await store.link.command("HINCRBY", keys.root(GROUP), "led_until", -TTL_MS)
    await store.link.command("ZINCRBY", keys.schedulers(GROUP), -TTL_MS, "s1")
    row = await only_group(store)

    assert (None, 0) == (row.leader, row.schedulers)


async def test_standing_by(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a group that schedulers leave alone it is told that they only stand by."""
    await lead(store, "s1", wanted=False)

    assert ["! nobody leads group gold: only its queue goes on (1 scheduler stands by)"] == notes(
        shown(await gathered(store), capsys)
    )


async def test_gate(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    """While the gate is open, it is told for how long nothing is claimed; nobody need lead then."""
    await lead(store, "s1", wanted=False)
    await builders.change_server(store)
    await lead(store, "s1")
    result = await gathered(store)

    assert 9_000 < result.groups[0].gate_ms <= 10_000
    assert [
        "! group gold: the store was reopened and claims nothing for 10 s more",
    ] == notes(shown(result, capsys))


async def test_gate_has_closed(store: Store) -> None:
    """When the gate has closed nothing is told of it."""
    await lead(store, "s1")
    await builders.change_server(store)
    await lead(store, "s1")
    await store.link.command("HINCRBY", keys.root(GROUP), "gate", -10_000)

    assert 0 == (await only_group(store)).gate_ms
