"""A job is what it says itself, over its template, over its tenant, over the defaults."""

from pathlib import Path

import msgspec
import pytest

from rota.common import message
from rota.common.job import Blackout, Job, Retry, Schedule
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


@pytest.mark.parametrize(
    "kind",
    ["cron: '@daily', jitter: 1h", "every: 2h, phase: 1h, jitter: 1h", "after: 2h",
     "at: 2026-12-24 18:00, jitter: 1m", "between: 02:00..04:00"],
)  # fmt: skip
@pytest.mark.parametrize(
    "own", ["cron: '@hourly'", "every: 3s", "after: 3h", "at: 2026-12-25 18:00",
            "between: sun 02:00..04:00"]
)  # fmt: skip
def test_any_kind_of_schedule_replaces_any_other(tmp_path: Path, kind: str, own: str) -> None:
    """A tenant's kind of schedule wins over its template's, and over all that went with that."""
    loaded = load(
        tmp_path,
        f"groups: {{g: }}\ntemplates: {{t: {{j: {{handler: h, {kind}}}}}}}\n"
        f"tenants: {{a: {{group: g, use: [t], jobs: {{j: {{{own}}}}}}}}}\n",
    )

    when = loaded.jobs[0].schedule
    assert (own.partition(":")[0], None, 0) == (when.kind, when.phase_ms, when.jitter_ms)


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


def test_phase_and_jitter_go_with_a_templates_schedule(tmp_path: Path) -> None:
    """A tenant may move or spread what its template schedules."""
    loaded = load(
        tmp_path,
        "groups: {g: }\ntemplates: {t: {j: {handler: h, every: 1h, phase: 1m, jitter: 2m}}}\n"
        "tenants: {a: {group: g, use: [t], jobs: {j: {phase: 0s}}},"
        " b: {group: g, use: [t], jobs: {j: {jitter: 3m}}}}\n",
    )

    assert [(0, 120_000), (60_000, 180_000)] == [
        (job.schedule.phase_ms, job.schedule.jitter_ms) for job in loaded.jobs
    ]


def test_the_nearest_rule_for_clock_changes_holds(tmp_path: Path) -> None:
    """A job's rule, else its template's, its tenant's, the defaults': for gap and fold each."""
    loaded = load(
        tmp_path,
        """
defaults: {dst: {gap: skip}}
groups: {g: {}}
templates:
  t:
    fixed: {handler: h, cron: "@daily", dst: {fold: second}}
    free: {handler: h, cron: "@daily"}
tenants:
  a: {group: g, dst: {fold: both}, use: [t], jobs: {fixed: {dst: {gap: run_after}}}}
  b: {group: g, use: [t], jobs: {own: {handler: h, at: 2026-12-24 18:00, dst: {fold: first}}}}
""",
    )

    expected = {
        "a/fixed": ("run_after", "second"), "a/free": ("skip", "both"),
        "b/fixed": ("skip", "second"), "b/free": ("skip", None), "b/own": ("skip", "first"),
    }  # fmt: skip
    assert expected == {job.ref: (job.schedule.gap, job.schedule.fold) for job in loaded.jobs}


def test_blackouts_add_up_but_a_jobs_own(tmp_path: Path) -> None:
    """A tenant's blackouts are added to the defaults'; a job's or its template's hold alone."""
    loaded = load(
        tmp_path,
        """
defaults: {blackout: [{from: 2026-12-24 00:00, to: 2027-01-02 06:00, reason: freeze}]}
groups: {g: {}}
templates:
  t:
    vital: {handler: h, every: 1m, blackout: []}
    night: {handler: h, every: 1m, blackout: [{between: "mon-fri 08:00..18:00"}]}
    other: {handler: h, every: 1m}
tenants:
  a: {group: g, use: [t], blackout: [{between: "sun 00:00..24:00"}], jobs: {night: {blackout: []}}}
  b: {group: g, use: [t]}
""",
    )

    freeze = Blackout(start="2026-12-24 00:00", end="2027-01-02 06:00", reason="freeze")
    sunday, office = Blackout(between="sun 00:00..24:00"), Blackout(between="mon-fri 08:00..18:00")
    expected = {
        "a/night": (), "a/other": (freeze, sunday), "a/vital": (),
        "b/night": (office,), "b/other": (freeze,), "b/vital": (),
    }  # fmt: skip
    assert expected == {job.ref: job.blackouts for job in loaded.jobs}


def test_equal_schedules_and_blackouts_are_shared(tmp_path: Path) -> None:
    """Tenants with equal schedules and blackouts share them: definitions stay small."""
    tenants = "".join(
        f"  t{n}: {{group: g, use: [t], dst: {{gap: skip}},"
        " blackout: [{between: 08:00..18:00}]}\n"
        for n in range(5)
    )
    loaded = load(
        tmp_path,
        "groups: {g: }\ntemplates: {t: {j: {handler: h, between: 02:00..04:00}}}\n"
        f"tenants:\n{tenants}",
    )

    assert 1 == len({id(job.schedule) for job in loaded.jobs})
    assert 1 == len({id(job.blackouts) for job in loaded.jobs})


def test_the_wire(tmp_path: Path) -> None:
    """Published jobs come back as they were; what they don't say takes no room; old ones decode."""
    loaded = load(
        tmp_path,
        "groups: {g: }\ntenants: {a: {group: g, jobs: {"
        "full: {handler: h, every: 1h, phase: 1m, jitter: 2m, dst: {gap: skip, fold: both},"
        " blackout: [{between: 08:00..18:00}]}, plain: {handler: h, between: 02:00..04:00}}}}\n",
    )
    decoder = msgspec.msgpack.Decoder(Job)
    schedule = {"kind": "every", "cron": "", "period_ms": 5, "timezone": "UTC"}
    old = {"tenant": "a", "name": "j", "group": "g", "handler": "h", "schedule": schedule}

    assert loaded.jobs == [decoder.decode(message.encode(job)) for job in loaded.jobs]
    assert {"kind", "between"} == set(msgspec.to_builtins(loaded.jobs[1].schedule))
    assert Schedule(kind="every", period_ms=5) == decoder.decode(message.encode(old)).schedule


def test_policies(tmp_path: Path) -> None:
    """What overlaps and what was missed is up to the job, its template, or the defaults."""
    loaded = load(
        tmp_path,
        """
defaults: {overlap: queue_all, misfire: all, max_lateness: 6h, max_catch_up: 24}
templates: {t: {b: {handler: h, every: 1h, misfire: skip}}}
groups: {g: {catch_up_concurrency: 7}, usual: {}}
tenants:
  x:
    group: g
    use: [t]
    jobs:
      a: {handler: h, every: 1h}
      b: {overlap: allow, max_lateness: 30s}
""",
    )
    found = {
        job.name: (job.overlap, job.misfire, job.max_lateness_ms, job.max_catch_up)
        for job in loaded.jobs
    }
    hour = 3_600_000

    assert {"a": ("queue_all", "all", 6 * hour, 24), "b": ("allow", "skip", 30_000, 24)} == found
    assert (7, 100) == tuple(loaded.limits[name].catch_up_concurrency for name in ("g", "usual"))
