"""What `sched fairness` makes of what it has seen."""

import pytest

from rota.common.backlog import Backlog
from rota.common.limits import TenantLimits
from rota.common.usage import Usage
from rota.scheduler import fairness_page
from rota.scheduler.fairness import Look, Report, TenantShare, Watched, report

LONG = Backlog(queued=9, oldest_ms=4_000)


def watched(
    group: str = "gold",
    backlogged: tuple[str, ...] = (),
    *,
    weight: float = 1.0,
    workers: tuple[str, ...] = ("w1",),
    weights: dict[str, float] | None = None,
    backlogs: dict[str, Backlog] | None = None,
    got: dict[str, float] | None = None,
    **service_s: float,
) -> Watched:
    """Return a group whose tenants got so many seconds of service; their runs take one."""
    service_s |= got or {}
    usages = {
        name: Usage(name, 0, 0, 1_000.0, TenantLimits(weight=(weights or {}).get(name, 1.0)))
        for name in service_s
    }
    queues = dict.fromkeys(backlogged, LONG) | (backlogs or {})
    return Watched(
        group=group,
        weight=weight,
        workers=frozenset(workers),
        service_s=service_s,
        last=Look(0, usages, queues),
        backlogged=frozenset(backlogged),
        waits={name: [100, 300, 200] for name in service_s},
    )


def by_name(found: Report) -> dict[str, TenantShare]:
    """Return the lines by tenant."""
    return {line.tenant: line for line in found.tenants}


def test_most_below_first() -> None:
    """Who lacks most of what it is entitled to is on top, with how much that is."""
    found = report([watched(a=6.0, b=1.0, c=5.0, backlogged=("a", "b", "c"))], 10.0)

    assert ["b", "c", "a"] == [line.tenant for line in found.tenants]
    assert (3.0, 4.0) == (by_name(found)["b"].lacks_s, by_name(found)["b"].entitled_s)
    assert (0.0833, 0.3333) == (by_name(found)["b"].share, by_name(found)["b"].entitled)
    assert pytest.approx(12**2 / (3 * 62)) == found.groups[0].jain


def test_short_queue_of_one_that_starves() -> None:
    """A tenant that always had a run queued is entitled to its whole part, whatever is queued."""
    one = {"b": Backlog(queued=1)}
    found = report([watched(a=9.0, b=1.0, backlogged=("a", "b"), backlogs=one)], 10.0)

    assert 4.0 == by_name(found)["b"].lacks_s


def test_content_tenant_lacks_nothing() -> None:
    """Who had nothing queued got what it wanted, and is not compared."""
    found = report([watched(a=9.0, b=1.0, c=2.0, backlogged=("a",))], 10.0)

    assert [0.0, 0.0, 0.0] == [line.lacks_s for line in found.tenants]
    assert (None, 1) == (found.groups[0].jain, found.groups[0].compared)


def test_queued_only_now() -> None:
    """Who has runs queued now, and had not all the time, wanted what those take besides."""
    found = report([watched(a=9.0, b=1.0, backlogged=("a",), backlogs={"b": LONG})], 10.0)
    two = {"b": Backlog(queued=2)}
    few = report([watched(a=9.0, b=1.0, backlogged=("a",), backlogs=two)], 10.0)

    assert (4.0, 2.0) == (by_name(found)["b"].lacks_s, by_name(few)["b"].lacks_s)


@pytest.mark.parametrize(
    "kept", [Backlog(queued=9, limited=True), Backlog(queued=9, blocked=9)], ids=["own", "handler"]
)
def test_limits_are_no_lack(kept: Backlog) -> None:
    """A tenant whose limits, or whose handler's, keep its runs queued lacks nothing."""
    found = report([watched(a=9.0, b=1.0, backlogged=("a",), backlogs={"b": kept})], 10.0)

    assert 0.0 == by_name(found)["b"].lacks_s
    assert kept.limited == by_name(found)["b"].limited


def test_weights() -> None:
    """What a tenant is entitled to follows its weight, and so does the index."""
    found = report(
        [watched(a=2.0, b=8.0, backlogged=("a", "b"), weights={"a": 1.0, "b": 4.0})], 10.0
    )

    assert [0.0, 0.0] == [line.lacks_s for line in found.tenants]
    assert pytest.approx(1.0) == found.groups[0].jain


def test_groups_of_the_same_workers() -> None:
    """Groups that the same workers serve are compared by weight, others with nobody."""
    gold = watched("gold", ("a",), a=6.0, weight=3.0)
    silver = watched("silver", ("b",), b=6.0)
    bronze = watched("bronze", ("c",), c=7.0, workers=("w2",))
    found = report([gold, silver, bronze], 10.0)

    assert [9.0, 3.0, 7.0] == [group.entitled_s for group in found.groups]
    assert [0.5, 0.5, 1.0] == [group.share for group in found.groups]


def test_waits() -> None:
    """Waits are told by tenant and for the group."""
    found = report([watched(a=1.0, b=1.0)], 10.0)

    assert (3, 200, 300) == (
        *(found.tenants[0].runs, found.tenants[0].wait_p50_ms, found.tenants[0].wait_p99_ms),
    )
    assert (6, 200, 300) == (
        *(found.groups[0].runs, found.groups[0].wait_p50_ms, found.groups[0].wait_p99_ms),
    )


@pytest.mark.parametrize(
    ("seen", "told"),
    [
        (watched(), "group gold: nothing ran, and nothing is queued"),
        (watched(a=0.0, backlogs={"a": LONG}), "group gold: nothing ran, and 9 runs queued"),
        (watched(a=1.0), "no Jain index, as no tenant had runs queued all the time"),
        (watched(a=1.0, backlogged=("a",)), "no Jain index, as only one tenant had"),
    ],
)
def test_nothing_to_compare(seen: Watched, told: str) -> None:
    """Where there is nothing to compare words say so."""
    (text,) = fairness_page.words(report([seen], 10.0))

    assert told in text


def test_no_index(capsys: pytest.CaptureFixture[str]) -> None:
    """Where nobody has watched, so that no index can be told, people read how to get one."""
    fairness_page.show(report([watched(a=1.0)], 0.0))

    assert "`--for 10s` tells how it is now, and Jain's index" in capsys.readouterr().out


def test_page(capsys: pytest.CaptureFixture[str]) -> None:
    """People see who lacks most on top, and how many are not shown."""
    many = {f"t{n}": 1.0 for n in range(40)}
    fairness_page.show(report([watched(backlogged=tuple(many), got=many)], 10.0))
    lines = capsys.readouterr().out.splitlines()

    assert "service of workers in 10.0s" == lines[0]
    assert "  ... and 10 more tenants (`-o json` has all)" in lines
    assert any("1.000 of 40" in line for line in lines)
