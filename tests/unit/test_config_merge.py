"""A job is what it says itself, over its template, over its tenant, over the defaults."""

from pathlib import Path

import pytest

from rota.common.job import Job, Retry, Schedule
from rota.scheduler import config
from rota.scheduler.config import Config

TEMPLATE = """
groups: {g: {}}
templates:
  t:
    j: {handler: t.h, cron: "0 3 * * *", args: {a: 1, b: 2}, timeout: 1h, retry: {attempts: 7}}
"""


def load(tmp_path: Path, content: str) -> Config:
    """Return the configuration of one file."""
    file = tmp_path / "rota.yaml"
    file.write_text(content)
    return config.load(file)


def test_the_example_of_the_contract_resolves(tmp_path: Path) -> None:
    """A tenant has the jobs of its templates and its own, with every field filled in."""
    loaded = load(
        tmp_path,
        """
defaults: {timezone: UTC, timeout: 15m, overlap: skip, retry: {attempts: 3, backoff: 10s}}
templates:
  standard:
    vacuum: {handler: db.vacuum, cron: "0 3 * * *"}
groups:
  gold: {}
tenants:
  acme:
    group: gold
    timezone: Europe/Berlin
    use: [standard]
    jobs:
      import-orders: {handler: orders.import, every: 15m, args: {source: ftp}}
      sync-crm:      {handler: crm.sync, after: 5m}
      report:        {handler: reports.monthly, cron: "0 6 1 * *", timeout: 2h}
""",
    )

    zone = "Europe/Berlin"
    expected = [
        Job(
            tenant="acme", name="import-orders", group="gold", handler="orders.import",
            schedule=Schedule(kind="every", period_ms=900_000, timezone=zone),
            args={"source": "ftp"}, timeout_ms=900_000,
        ),
        Job(
            tenant="acme", name="report", group="gold", handler="reports.monthly",
            schedule=Schedule(kind="cron", cron="0 6 1 * *", timezone=zone), timeout_ms=7_200_000,
        ),
        Job(
            tenant="acme", name="sync-crm", group="gold", handler="crm.sync",
            schedule=Schedule(kind="after", period_ms=300_000, timezone=zone),
        ),
        Job(
            tenant="acme", name="vacuum", group="gold", handler="db.vacuum",
            schedule=Schedule(kind="cron", cron="0 3 * * *", timezone=zone),
        ),
    ]  # fmt: skip
    assert expected == loaded.jobs
    assert ["gold"] == loaded.groups
    assert {"acme": "gold"} == loaded.tenants


def test_without_defaults_the_built_in_ones_hold(tmp_path: Path) -> None:
    """UTC, 15 minutes, skip, 3 attempts with 10 s to 10 min of rest."""
    loaded = load(
        tmp_path,
        "groups: {g: }\ntenants: {a: {group: g, jobs: {j: {handler: h, every: 1s}}}}\n",
    )

    (job,) = loaded.jobs
    retry = Retry(attempts=3, backoff_ms=10_000, max_backoff_ms=600_000)
    assert ("UTC", 900_000, "skip", retry) == (
        job.schedule.timezone, job.timeout_ms, job.overlap, job.retry,
    )  # fmt: skip


def test_retry_merges_field_by_field(tmp_path: Path) -> None:
    """What a job's retry leaves out comes from its template, then from the defaults."""
    loaded = load(
        tmp_path,
        TEMPLATE + "defaults: {retry: {attempts: 5, backoff: 2s, max_backoff: 4s}}\n"
        "tenants: {a: {group: g, use: [t], jobs: {j: {retry: {backoff: 3s}},"
        " k: {handler: h, every: 1s, retry: {max_backoff: 1m}}}}}\n",
    )

    expected = {
        "j": Retry(attempts=7, backoff_ms=3_000, max_backoff_ms=4_000),
        "k": Retry(attempts=5, backoff_ms=2_000, max_backoff_ms=60_000),
    }
    assert expected == {job.name: job.retry for job in loaded.jobs}


@pytest.mark.parametrize(
    ("own", "schedule", "args", "timeout_ms"),
    [
        ('{cron: "@daily"}', Schedule(kind="cron", cron="@daily"), {"a": 1, "b": 2}, 3_600_000),
        ("{args: {c: 3}}", Schedule(kind="cron", cron="0 3 * * *"), {"c": 3}, 3_600_000),
        ("{timeout: 1s}", Schedule(kind="cron", cron="0 3 * * *"), {"a": 1, "b": 2}, 1_000),
        ("{every: 1m}", Schedule(kind="every", period_ms=60_000), {"a": 1, "b": 2}, 3_600_000),
        ("{after: 1m}", Schedule(kind="after", period_ms=60_000), {"a": 1, "b": 2}, 3_600_000),
        ("{}", Schedule(kind="cron", cron="0 3 * * *"), {"a": 1, "b": 2}, 3_600_000),
    ],
)  # fmt: skip
def test_a_tenant_changes_the_fields_it_names(
    tmp_path: Path, own: str, schedule: Schedule, args: dict[str, int], timeout_ms: int
) -> None:
    """A job over a template's job keeps the other fields; another kind of schedule replaces."""
    loaded = load(
        tmp_path, f"{TEMPLATE}tenants: {{a: {{group: g, use: [t], jobs: {{j: {own}}}}}}}\n"
    )

    (job,) = loaded.jobs
    assert ("t.h", schedule, args, timeout_ms) == (
        job.handler, job.schedule, job.args, job.timeout_ms,
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["cron: '@daily'", "every: 2h", "after: 2h"])
@pytest.mark.parametrize("own", ["cron: '@hourly'", "every: 3h", "after: 3h"])
def test_any_kind_of_schedule_replaces_any_other(tmp_path: Path, kind: str, own: str) -> None:
    """A tenant's kind of schedule wins over its template's, whichever two they are."""
    loaded = load(
        tmp_path,
        f"groups: {{g: }}\ntemplates: {{t: {{j: {{handler: h, {kind}}}}}}}\n"
        f"tenants: {{a: {{group: g, use: [t], jobs: {{j: {{{own}}}}}}}}}\n",
    )

    assert own.partition(":")[0] == loaded.jobs[0].schedule.kind


def test_null_leaves_a_templates_job_out(tmp_path: Path) -> None:
    """`j: ~` removes the job for this tenant alone; both tenants stay known."""
    loaded = load(
        tmp_path,
        TEMPLATE + "tenants: {a: {group: g, use: [t], jobs: {j: ~}}, b: {group: g, use: [t]}}\n",
    )

    assert ["b/j"] == [job.ref for job in loaded.jobs]
    assert {"a": "g", "b": "g"} == loaded.tenants


def test_the_nearest_time_zone_holds(tmp_path: Path) -> None:
    """A job's own zone, else its template's, else the tenant's, else the defaults'."""
    loaded = load(
        tmp_path,
        """
defaults: {timezone: Asia/Tokyo}
groups: {g: {}}
templates:
  t:
    fixed: {handler: h, every: 1s, timezone: Asia/Kolkata}
    free: {handler: h, every: 1s}
tenants:
  a: {group: g, timezone: Europe/Oslo, use: [t], jobs: {own: {handler: h, every: 1s, timezone: UTC}}
  }
  b: {group: g, use: [t], jobs: {fixed: {timezone: America/Lima}}}
""",
    )

    expected = {
        "a/fixed": "Asia/Kolkata", "a/free": "Europe/Oslo", "a/own": "UTC",
        "b/fixed": "America/Lima", "b/free": "Asia/Tokyo",
    }  # fmt: skip
    assert expected == {job.ref: job.schedule.timezone for job in loaded.jobs}


@pytest.mark.parametrize("alias", ["@hourly", "@daily", "@midnight", "@weekly", "@monthly"])
def test_cron_shorthands_are_known(tmp_path: Path, alias: str) -> None:
    """A shorthand stands for its five fields."""
    loaded = load(
        tmp_path,
        "groups: {g: }\ntenants: {a: {group: g, jobs: {j: {handler: h, cron: '" + alias + "'}}}}\n",
    )

    assert alias == loaded.jobs[0].schedule.cron
