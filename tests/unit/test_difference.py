"""Two configurations are compared job by job and field by field."""

import pytest

from rota.common.job import Blackout, Job, Retry
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
