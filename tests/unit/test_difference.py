"""Two configurations are compared job by job and field by field."""

from typing import Any

import msgspec
import pytest

from rota.common.job import Blackout, Job, Retry
from rota.common.limits import GroupLimits, TenantLimits
from rota.common.retention import Retention
from rota.scheduler import difference
from rota.scheduler.config import Config
from rota.scheduler.difference import Change
from tests.support.definitions import config, job

IMPORT = job(every="15m")


def test_alike() -> None:
    """Configurations that say the same do not differ, wherever they were read."""
    here = Config(groups=["gold"], jobs=[IMPORT], tenants={"acme": "gold"}, files=["a.yaml"])
    there = Config(groups=["gold"], jobs=[IMPORT], tenants={"acme": "gold"}, files=["b.yaml"])

    assert not difference.compare(here, there)


def test_jobs() -> None:
    """Jobs that are added, removed and changed are told apart."""
    old = config(IMPORT, job("acme/a", every="1h"), job("acme/b", every="1h"))
    new = config(IMPORT, job("acme/a", every="2h"), job("acme/c", every="1h"))
    found = difference.compare(old, new)

    assert ["acme/c"] == [each.ref for each in found.added]
    assert ["acme/b"] == [each.ref for each in found.removed]
    assert [("acme/a", "acme/a")] == [(a.ref, b.ref) for a, b in found.changed]
    assert {"added": 1, "removed": 1, "changed": 1} == found.counts


def test_groups_and_tenants() -> None:
    """Groups and tenants that come, go or move are told, also where they have no jobs."""
    old = Config(groups=["a", "b"], jobs=[], tenants={"x": "a", "y": "a", "z": "b"}, files=[])
    new = Config(groups=["a", "c"], jobs=[], tenants={"w": "c", "x": "c", "y": "a"}, files=[])
    found = difference.compare(old, new)

    assert (["c"], ["b"]) == (found.groups_added, found.groups_removed)
    assert (["w"], ["z"]) == (found.tenants_added, found.tenants_removed)
    assert {"x": [Change("group", "a", "c")]} == found.tenants_changed


def limited(**limits: GroupLimits) -> Config:
    """Return a configuration of groups with these limits, of which `gold` has a tenant."""
    return msgspec.structs.replace(config(IMPORT, groups=("silver",)), limits=limits)


SOME = GroupLimits(
    weight=3.0,
    max_concurrency=50,
    tenants={"acme": TenantLimits(max_concurrency=5, interval_ms=600.0, burst=2, max_backlog=9)},
    handlers={"orders.import": 10, "mail": 2},
)


def test_limits_come() -> None:
    """Limits that come are told by group, tenant and handler, each field as one writes it."""
    found = difference.compare(limited(), limited(gold=SOME))

    assert {
        "gold": [Change("weight", 1, 3), Change("max_concurrency", None, 50)]
    } == found.groups_changed
    assert {
        "mail": [Change("max_concurrency", None, 2)],
        "orders.import": [Change("max_concurrency", None, 10)],
    } == found.handlers_changed
    assert {
        "acme": [
            Change("max_concurrency", None, 5),
            Change("rate_limit", None, "100/m"),
            Change("burst", 1, 2),
            Change("max_backlog", None, 9),
        ]
    } == found.tenants_changed
    assert [] == found.settings + found.changed


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        ({"weight": 0.5}, ({"gold": [Change("weight", 3, 0.5)]}, {}, {})),
        ({"max_concurrency": 0}, ({"gold": [Change("max_concurrency", 50, None)]}, {}, {})),
        (
            {"handlers": {"mail": 2, "orders.import": 11}},
            ({}, {"orders.import": [Change("max_concurrency", 10, 11)]}, {}),
        ),
        (
            {"handlers": {"mail": 2}},
            ({}, {"orders.import": [Change("max_concurrency", 10, None)]}, {}),
        ),
        (
            {"tenants": {"acme": TenantLimits(max_concurrency=5, interval_ms=12e3, max_backlog=9)}},
            ({}, {}, {"acme": [Change("rate_limit", "100/m", "5/m"), Change("burst", 2, 1)]}),
        ),
        (
            {"tenants": {}},
            (
                {},
                {},
                {
                    "acme": [
                        Change("max_concurrency", 5, None),
                        Change("rate_limit", "100/m", None),
                        Change("burst", 2, 1),
                        Change("max_backlog", 9, None),
                    ]
                },
            ),
        ),
    ],
)
def test_limits_differ(new: dict[str, Any], expected: tuple[Any, Any, Any]) -> None:
    """Of limits that are changed or gone exactly what differs is told."""
    found = difference.compare(
        limited(gold=SOME), limited(gold=msgspec.structs.replace(SOME, **new))
    )

    assert found
    assert expected == (found.groups_changed, found.handlers_changed, found.tenants_changed)


def test_retention_differs() -> None:
    """What the ledger keeps of a group is told as one writes it."""
    found = difference.compare(limited(), limited(gold=GroupLimits(ledger=Retention(days=90))))

    assert {"gold": [Change("ledger.days", 30, 90)]} == found.groups_changed


def test_no_limits_are_none() -> None:
    """Who says nothing of limits, and who says that there are none, do not differ."""
    said = {"gold": GroupLimits(tenants={"acme": TenantLimits()}), "silver": GroupLimits()}

    assert not difference.compare(limited(), limited(**said))
    assert not difference.compare(limited(**said), limited())


def test_tenant_moves_with_limits() -> None:
    """A tenant that moves and keeps its limits has another group, and nothing else that is new."""
    own = GroupLimits(tenants={"x": TenantLimits(max_concurrency=5)})
    old, new = (
        Config(groups=["a", "b"], jobs=[], tenants={"x": at}, files=[], limits={at: own})
        for at in ("a", "b")
    )

    assert {"x": [Change("group", "a", "b")]} == difference.compare(old, new).tenants_changed


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        (job(every="10m"), [Change("schedule", "every 15m", "every 10m")]),
        (job(cron="0 3 * * *"), [Change("schedule", "every 15m", "cron 0 3 * * *")]),
        (job(every="15m", timezone="Asia/Tokyo"), [Change("timezone", "UTC", "Asia/Tokyo")]),
        (job(every="15m", gap="skip"), [Change("dst.gap", None, "skip")]),
        (job(every="15m", timeout_ms=60_000), [Change("timeout", "15m", "1m")]),
        (job(every="15m", overlap="cancel"), [Change("overlap", "skip", "cancel")]),
        (job(every="15m", handler="x.y"), [Change("handler", "orders.import", "x.y")]),
        (
            job(every="15m", retry=Retry(attempts=1, backoff_ms=1_000)),
            [Change("retry.attempts", 3, 1), Change("retry.backoff", "10s", "1s")],
        ),
        (
            job(every="15m", args={"a": {"b": 1}, "c": [1]}),
            [Change("args.a", None, {"b": 1}), Change("args.c", None, [1])],
        ),
        (
            job(every="15m", blackouts=(Blackout(between="08:00..18:00", reason="busy"),)),
            [Change("blackout", None, ["08:00..18:00 (busy)"])],
        ),
    ],
)
def test_fields(new: Job, expected: list[Change]) -> None:
    """Each field that differs is told as one writes it, before and after."""
    assert expected == difference.fields(IMPORT, new)


def test_nested_arguments() -> None:
    """Of nested arguments only what differs is told."""
    old, new = (job(every="15m", args={"a": {"b": n, "c": 1}, "d": 2}) for n in (1, 2))

    assert [Change("args.a.b", 1, 2)] == difference.fields(old, new)
