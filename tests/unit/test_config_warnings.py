"""What is valid and written in vain is told as a warning, where it stands; all else is not."""

from pathlib import Path

import pytest

from rota.scheduler import config
from rota.scheduler.config import Problem

HEAD = "groups: {gold: {}}\n"
CALENDAR = 'cron: "0 3 * * *"'


def warnings(tmp_path: Path, text: str) -> list[Problem]:
    """Return the warnings on a configuration."""
    file = tmp_path / "rota.yaml"
    file.write_text(HEAD + text)
    loaded, found = config.check(file)
    assert config.load(file) == loaded
    return found


def tenant(job: str) -> str:
    """Return a tenant with one job of these fields."""
    return f"tenants:\n  acme:\n    group: gold\n    jobs:\n      j: {{handler: h, {job}}}\n"


@pytest.mark.parametrize(
    ("job", "field", "reason"),
    [
        ("after: 5m, misfire: all", "misfire", "with `after` there is no calendar"),
        ("after: 5m, max_lateness: 1h", "max_lateness", "with `after` there is no calendar"),
        ("after: 5m, overlap: queue_all", "overlap", "with `after` it is as `skip`"),
        (f"{CALENDAR}, max_catch_up: 3", "max_catch_up", "the job has neither"),
        (f"{CALENDAR}, probe_after: 3h", "probe_after", "the job has no pause_after_failures"),
        ("every: 1h, dst: {gap: skip}", "dst", "`every` does not go by a clock on the wall"),
        (f"{CALENDAR}, retry: {{attempts: 1, backoff: 5s}}", "retry", "only one attempt"),
        (f"{CALENDAR}, retry: {{attempts: 1}}, retry_on: [OSError]", "retry_on", "one attempt"),
        (f"{CALENDAR}, unsplittable: alone", "unsplittable", "without max_task_size"),
        ("every: 1h, fresh_within: 30m", "fresh_within", "to the next it may be 1h"),
        ("after: 1h, fresh_within: 1h", "fresh_within", "to the next it may be 1h"),
        ('cron: "0 3 * * mon-fri", fresh_within: 26h', "fresh_within", "it may be 3d"),
        ('cron: "* 8-17 * * *", fresh_within: 10h', "fresh_within", "it may be 14h1m"),
        ('at: "2026-12-24 18:00", fresh_within: 1h', "fresh_within", "it is due only once"),
    ],
)
def test_in_vain(tmp_path: Path, job: str, field: str, reason: str) -> None:
    """One reads which setting has no effect, why, and where it stands."""
    (found,) = warnings(tmp_path, tenant(job))
    start = found.column - 1

    assert ("warning", 6) == (found.severity, found.line)
    assert field == found.source_line[start : start + found.width]
    assert reason in found.message
    assert found.help
    assert found.render().startswith("warning: ")


@pytest.mark.parametrize(
    "job",
    [
        f"{CALENDAR}, misfire: all, max_catch_up: 3, max_lateness: 1h, dst: {{gap: skip}}",
        f"{CALENDAR}, overlap: queue_all, max_catch_up: 3, fresh_within: 26h",
        f"{CALENDAR}, pause_after_failures: 3, probe_after: 3h",
        "after: 5m, overlap: cancel, fresh_within: 10m, retry: {attempts: 1}",
        "every: 1h, fresh_within: 61m, max_task_size: 3, unsplittable: alone",
        'cron: "*/5 8-17 * * *", fresh_within: 15h',
        'between: "mon-fri 22:00..02:00", fresh_within: 3d1h1m, timezone: Europe/Berlin',
        f"{CALENDAR}, fresh_within: 25h1m, timezone: Europe/Berlin",
    ],
)
def test_with_effect(tmp_path: Path, job: str) -> None:
    """What has an effect is not warned of, also where clocks change."""
    assert [] == warnings(tmp_path, tenant(job))


def test_where_it_is_written(tmp_path: Path) -> None:
    """A template is told once, whoever uses it; defaults only what no job at all has a use for."""
    text = (
        "defaults: {probe_after: 1h, misfire: all, fresh_within: 2h}\n"
        "templates:\n  t:\n    x: {handler: h, after: 5m, max_lateness: 1m}\n"
        "tenants:\n"
        "  a: {group: gold, use: [t], jobs: {y: {handler: h, every: 1h}}}\n"
        "  b: {group: gold, use: [t], jobs: {z: {handler: h, every: 3h}}}\n"
    )
    found = [(each.line, each.message.partition(":")[0]) for each in warnings(tmp_path, text)]

    assert [
        (2, "probe_after has no effect on any job"),
        (5, "max_lateness has no effect"),
        (8, "fresh_within, 2h, is too short"),
    ] == found
