"""Each thing that a job, tenant, group or template can get wrong is told with its exact place."""

from pathlib import Path

import pytest

from rota.scheduler import config
from rota.scheduler.config import InvalidConfig, Problem
from rota.scheduler.config.timing import BLACKOUT_ADVICE

HEAD = "groups: {gold: {}, silver: {}}\n"


def problems(tmp_path: Path, content: str) -> list[Problem]:
    """Return what is wrong with a file of this content."""
    file = tmp_path / "rota.yaml"
    file.write_text(content)
    with pytest.raises(InvalidConfig) as caught:
        config.load(file)
    return caught.value.problems


def only(tmp_path: Path, content: str) -> Problem:
    """Return the one thing that is wrong with a file of this content."""
    found = problems(tmp_path, content)
    assert 1 == len(found), found
    return found[0]


@pytest.mark.parametrize(
    ("job", "column", "message", "advice"),
    [
        ("{handler: h, every: 15}", 31,
         "expected a duration such as 15m, got the number 15", ""),
        ("{handler: h, every: 15x}", 31,
         "'15x' is no duration; write for example 500ms, 30s, 15m, 1h30m or 2d", ""),
        ("{handler: h, every: 99ms}", 31, "`99ms` is too short", "write at least 100ms"),
        ("{handler: h, after: 99ms}", 31, "`99ms` is too short", "write at least 100ms"),
        ("{handler: h, after: 367d}", 31,
         "'367d' is out of range; a duration lies between 1ms and 366d", ""),
        ("{handler: h, after: {}}", 31, "expected a duration such as 15m, got a mapping", ""),
        ("{handler: h, after: []}", 31, "expected a duration such as 15m, got a list", ""),
        ("{handler: h, cron: 5}", 30,
         'expected a cron expression in quotes, such as "0 3 * * *", got the number 5', ""),
        ('{handler: h, cron: "0 3 30 2 *"}', 30,
         "cron '0 3 30 2 *' never fires: no date matches its days and months", ""),
        ("{handler: a b, every: 1s}", 21, "`a b` is no handler's name",
         "write the name that a worker registered, such as orders.import"),
        ("{handler: true, every: 1s}", 21,
         "expected the name of a handler, such as orders.import, got true", ""),
        ("{every: 1s}", 8, "missing field `handler`",
         "write the name that a worker registered, such as orders.import"),
        ("{handler: h}", 8, "missing a schedule",
         "add one of cron, every, after, at, between and on"),
        ("{handler: h, every: 1s, after: 1s}", 35,
         "a job has one of cron, every, after, at, between and on; this has `every` already",
         "delete one of them"),
        ("{handler: h, at: tomorrow}", 28,
         ("'tomorrow' is no date and time; write for example 2026-12-24 18:00, as the clock of the "
          "job's time zone shows it"), ""),
        ("{handler: h, at: 2026-02-30 18:00}", 28, None, ""),
        ("{handler: h, at: 20261224}", 28,
         "expected a date and time such as 2026-12-24 18:00, got the number 20261224", ""),
        ("{handler: h, between: 2:00..4:00}", 33,
         ("'2:00..4:00' is no window; write for example 02:00..04:00 or mon-fri 22:00..02:00"), ""),
        ("{handler: h, between: noon 02:00..04:00}", 33,
         ("'noon' names no days of the week; write for example mon-fri or sat,sun (ranges run from "
          "sun to sat)"), ""),
        ("{handler: h, between: []}", 33, "expected a window such as 02:00..04:00, got a list", ""),
        ("{handler: h, cron: '@daily', phase: 5m}", 47,
         "phase goes with `every`; this job has `cron`", "delete it"),
        ("{handler: h, every: 5m, phase: 5m}", 42, "phase, 5m, lies outside of the period, 5m",
         "write how long after each full period the job is due: 0s up to the period"),
        ("{handler: h, every: 5m, phase: soon}", 42,
         "'soon' is no duration; write for example 500ms, 30s, 15m, 1h30m or 2d", ""),
        ("{handler: h, every: 5m, phase: 5}", 42,
         "expected a duration such as 5m, got the number 5", ""),
        ("{handler: h, every: 5m, jitter: 5m}", 43,
         "jitter, 5m, is not shorter than the period, 5m",
         "without jitter and phase each job has a place of its own in the whole period"),
        ("{handler: h, after: 5m, jitter: 1m}", 43, "jitter does not go with `after`",
         "delete it; it counts from the end of the last run, which differs anyway"),
        ("{handler: h, between: 02:00..04:00, jitter: 1m}", 55,
         "jitter does not go with `between`",
         "delete it; each job has a place of its own in the window"),
        ("{handler: h, every: 5m, jitter: -1s}", 43, None, ""),
        ("{handler: h, every: 5m, dst: skip}", 40, "expected a mapping of fields, got text", ""),
        ("{handler: h, every: 5m, dst: {gap: sometimes}}", 46, "unknown gap `sometimes`",
         "write `run_after` or `skip`"),
        ("{handler: h, every: 5m, dst: {fold: last}}", 47, "unknown fold `last`",
         "write `first`, `second` or `both`"),
        ("{handler: h, every: 5m, dst: {fold: 2}}", 47,
         "expected `first`, `second` or `both`, got the number 2", ""),
        ("{handler: h, every: 5m, dst: {gaps: skip}}", 41, "unknown field `gaps`",
         "did you mean `gap`?"),
        ("{handler: h, every: 5m, blackout: 08:00..18:00}", 45,
         "expected a list of blackouts, got text",
         'write for example [{between: "08:00..18:00"}]'),
        ("{handler: h, every: 5m, blackout: [08:00..18:00]}", 46,
         "expected a mapping of fields, got text", ""),
        ("{handler: h, every: 5m, blackout: [{}]}", 46, "missing `between`, or `from` and `to`",
         BLACKOUT_ADVICE),
        ("{handler: h, every: 5m, blackout: [{reason: x}]}", 46,
         "missing `between`, or `from` and `to`", BLACKOUT_ADVICE),
        ("{handler: h, every: 5m, blackout: [{to: 2026-12-24 18:00}]}", 46,
         "missing the other of `from` and `to`", BLACKOUT_ADVICE),
        ("{handler: h, every: 5m, blackout: [{between: 08:00..18:00, to: 2026-12-24 18:00}]}", 46,
         "a blackout has `between` or `from` and `to`; this has both", "make two of it"),
        ("{handler: h, every: 5m, blackout: [{from: 2026-12-24 18:00, to: 2026-12-24 18:00}]}", 46,
         "`to`, 2026-12-24 18:00, is not later than `from`, 2026-12-24 18:00",
         "swap or mend them"),
        ("{handler: h, every: 5m, blackout: [{between: 8..18}]}", 56, None, ""),
        ("{handler: h, every: 5m, blackout: [{from: now, to: 2026-12-24 18:00}]}", 53, None, ""),
        ("{handler: h, every: 5m, blackout: [{start: 2026-12-24 18:00, to: 2026-12-24 18:00}]}", 47,
         "unknown field `start`", "known fields are between, from, to, reason"),
        ("{handler: h, every: 5m, blackout: [{between: 08:00..18:00, reason: 7}]}", 78,
         "expected a reason in words, got the number 7", ""),
        ("{handler: h, every: 5m, blackout: [{between: 00:00..24:00}]}", 45,
         "with these blackouts a job could never run",
         "leave some time open; to keep a job from running leave it out"),
        ("{handler: h, every: 1s, retires: 3}", 35, "unknown field `retires`",
         "did you mean `retry`?"),
        ("{handler: h, every: 1s, zzz: 3}", 35, "unknown field `zzz`",
         ("known fields are handler, phases, on_failure, cron, every, after, at, between, on, "
          "phase, jitter, args, timezone, dst, blackout, timeout, kill_after, overlap, misfire, "
          "max_lateness, max_catch_up, retry, pause_after_failures, probe_after, fresh_within, "
          "retry_on, max_task_size, task_time, unsplittable, start_while_planning, dead_task, "
          "stagger, priority")),
        ("{handler: h, every: 1s, timezone: Europe/Berln}", 45, "unknown time zone `Europe/Berln`",
         "did you mean `Europe/Berlin`?"),
        ("{handler: h, every: 1s, timezone: berlin}", 45, "unknown time zone `berlin`",
         "did you mean `Europe/Berlin`?"),
        ("{handler: h, every: 1s, timezone: ../../etc/passwd}", 45,
         "unknown time zone `../../etc/passwd`",
         "write the name of an IANA time zone, such as UTC or Europe/Berlin"),
        ("{handler: h, every: 1s, timezone: ~}", 45,
         "expected a time zone such as Europe/Berlin, got null", ""),
        ("{handler: h, every: 1s, timeout: soon}", 44,
         "'soon' is no duration; write for example 500ms, 30s, 15m, 1h30m or 2d", ""),
        ("{handler: h, every: 1s, overlap: hop}", 44, "unknown overlap `hop`",
         "write `skip`, `queue_one`, `queue_all`, `cancel` or `allow`"),
        ("{handler: h, every: 1s, misfire: twice}", 44, "unknown misfire `twice`",
         "write `once`, `all` or `skip`"),
        ("{handler: h, every: 1s, max_lateness: late}", 49,
         "'late' is no duration; write for example 500ms, 30s, 15m, 1h30m or 2d", ""),
        ("{handler: h, every: 1s, max_catch_up: 0}", 49, "0 is out of range",
         "write a number of occurrences from 1 to 10000"),
        ("{handler: h, every: 1s, max_catch_up: all}", 49,
         "expected a number of occurrences, got text", ""),
        ("{handler: h, every: 1s, retry: 3}", 42, "expected a mapping of fields, got the number 3",
         ""),
        ("{handler: h, every: 1s, retry: {attempts: 0}}", 53, "0 is out of range",
         "write a number of attempts from 1 to 100"),
        ("{handler: h, every: 1s, retry: {attempts: 101}}", 53, "101 is out of range",
         "write a number of attempts from 1 to 100"),
        ("{handler: h, every: 1s, retry: {attempts: true}}", 53,
         "expected a number of attempts from 1 to 100, got true", ""),
        ("{handler: h, every: 1s, retry: {atempts: 1}}", 43, "unknown field `atempts`",
         "did you mean `attempts`?"),
        ("{handler: h, every: 1s, retry: {backoff: 0s}}", 52,
         "'0s' is out of range; a duration lies between 1ms and 366d", ""),
        ("{handler: h, every: 1s, retry: {backoff: 11m}}", 52,
         "max_backoff, 10m, is shorter than backoff, 11m",
         "max_backoff bounds the rest that doubles from backoff on; set both"),
        ("{handler: h, every: 1s, retry: {max_backoff: 9s}}", 56,
         "max_backoff, 9s, is shorter than backoff, 10s",
         "max_backoff bounds the rest that doubles from backoff on; set both"),
        ("{handler: h, every: 1s, args: [1]}", 41,
         "expected a mapping of the handler's parameters, got a list", ""),
        ("{handler: h, every: 1s, args: " + "{a: " * 33 + "1" + "}" * 33 + "}", 41,
         "args are nested deeper than 32 levels", "keep large data elsewhere and name it in args"),
        ("{handler: h, every: 1s, args: {a: " + "x" * 61_440 + "}}", 41,
         "args take 61,446 bytes; the limit is 60 KiB",
         "keep large data elsewhere and name it in args"),
        ("hourly", 11, "expected a mapping of fields, got text", ""),
        ("~", 8, "no template brings a job `j` that null could leave out",
         "write what the job does, or delete the line"),
    ],
)  # fmt: skip
def test_a_wrong_job_is_told_at_the_value_that_is_wrong(
    tmp_path: Path, job: str, column: int, message: str | None, advice: str
) -> None:
    """Every mistake in a job gives one problem, with its place, and what to do where we know."""
    content = f"{HEAD}tenants:\n  acme:\n    group: gold\n    jobs:\n       j: {job}\n"

    found = only(tmp_path, content)

    assert (6, column, advice) == (found.line, found.column, found.help)
    assert message in (None, found.message)


@pytest.mark.parametrize(
    ("tenant", "place", "message", "advice"),
    [
        ("{group: glod}", (3, 17), "unknown group `glod`", "did you mean `gold`?"),
        ("{group: xyz}", (3, 17), "unknown group `xyz`", "declared are gold, silver"),
        ("{group: 7}", (3, 17), "expected the name of a group, got the number 7", ""),
        ("{}", (3, 3), "missing field `group`", "declared are gold, silver"),
        ("7", (3, 9), "expected a mapping of fields, got the number 7", ""),
        ("{group: gold, job: {}}", (3, 23), "unknown field `job`", "did you mean `jobs`?"),
        ("{group: gold, timezone: Mars}", (3, 33), "unknown time zone `Mars`", None),
        ("{group: gold, use: t}", (3, 28), "expected a list of templates, got text",
         "write for example `use: [standard]`"),
        ("{group: gold, use: [tt]}", (3, 29), "unknown template `tt`", "did you mean `t`?"),
        ("{group: gold, use: [t, t]}", (3, 32), "template `t` brings job `j` again",
         "template `t` brings it already"),
        ("{group: gold, use: [t, u]}", (3, 32), "template `u` brings job `j` again",
         "template `t` brings it already"),
        ("{group: gold, use: [1]}", (3, 29), "expected the name of a template, got the number 1",
         ""),
        ("{group: gold, jobs: []}", (3, 29), "expected a mapping of jobs, got a list", ""),
        ("{group: gold, jobs: {a b: {handler: h, every: 1s}}}", (3, 30), "`a b` is no name",
         "a name has 1 to 64 letters, digits, `.`, `_` and `-`, and starts with a letter or digit"),
        ("{group: gold, jobs: {\"a\\n\": {handler: h, every: 1s}}}", (3, 30), "`a\n` is no name",
         None),
        ("{group: gold, use: [t], jobs: {jj: ~}}", (3, 40),
         "no template brings a job `jj` that null could leave out", "did you mean `j`?"),
        ("{group: gold, use: [t], jobs: {j: {every: 1s, cron: '@daily'}}}", (3, 55),
         "a job has one of cron, every, after, at, between and on; this has `every` already",
         "delete one of them"),
        ("{group: gold, use: [t], jobs: {j: {phase: 1h}}}", (3, 51),
         "phase, 1h, lies outside of the period, 1h", None),
        ("{group: gold, use: [t], jobs: {j: {jitter: 90m}}}", (3, 52),
         "jitter, 90m, is not shorter than the period, 1h", None),
        ("{group: gold, use: [t], jobs: {j: {after: 1h, jitter: 1m}}}", (3, 63),
         "jitter does not go with `after`", None),
        ("{group: gold, dst: {gap: no}}", (3, 34), "unknown gap `no`",
         "write `run_after` or `skip`"),
        ("{group: gold, blackout: [{between: 12:00..00:00}]}", (3, 33),
         "with these blackouts a job could never run", None),
        ("{group: gold, use: [t], jobs: {j: {retry: {max_backoff: 59s}}}}", (3, 65),
         "max_backoff, 59s, is shorter than backoff, 1m", None),
    ],
)  # fmt: skip
def test_a_wrong_tenant_is_told_at_the_value_that_is_wrong(
    tmp_path: Path, tenant: str, place: tuple[int, int], message: str, advice: str | None
) -> None:
    """Every mistake in a tenant gives one problem, with its place, and what to do."""
    job = "{j: {handler: h, every: 1h, retry: {backoff: 1m}}}"
    content = f"{HEAD}tenants:\n  acme: {tenant}\ntemplates: {{t: {job}, u: {job}}}\n"
    content += 'defaults: {blackout: [{between: "00:00..12:00"}]}\n'

    found = only(tmp_path, content)

    assert (place, message) == ((found.line, found.column), found.message)
    assert advice in (None, found.help)


@pytest.mark.parametrize(
    ("content", "place", "message"),
    [
        ("grups: {}", (1, 1), "unknown section `grups`"),
        ("groups: {g: 5}", (1, 13), "expected a mapping of fields, got the number 5"),
        ("groups: {g: {limit: 5}}", (1, 14), "unknown field `limit`"),
        ("groups: {-g: {}}", (1, 10), "`-g` is no name"),
        ("tenants: {a/b: {group: g}}\ngroups: {g: }", (1, 11), "`a/b` is no name"),
        ("templates: {a b: {}}", (1, 13), "`a b` is no name"),
        ("templates: {t: 5}", (1, 16), "expected a mapping of jobs, got the number 5"),
        ("templates: {t: {j: ~}}", (1, 20), "expected a mapping of fields, got null"),
        ("templates: {t: {j: {every: 1s}}}", (1, 17), "missing field `handler`"),
        ("templates: {t: {j: {handler: h}}}", (1, 17), "missing a schedule"),
        ("templates: {t: {j: {handler: h, every: 1}}}", (1, 40),
         "expected a duration such as 15m, got the number 1"),
        ("defaults: {handler: h}", (1, 12), "unknown field `handler`"),
        ("defaults: {timezone: Nowhere/Land}", (1, 22), "unknown time zone `Nowhere/Land`"),
        ("defaults: {overlap: all}", (1, 21), "unknown overlap `all`"),
        ("defaults: {misfire: none}", (1, 21), "unknown misfire `none`"),
        ("defaults: {dst: {fold: none}}", (1, 24), "unknown fold `none`"),
        ("defaults: {blackout: [{between: 00:00..24:00}]}", (1, 22),
         "with these blackouts a job could never run"),
        ("templates: {t: {j: {handler: h, after: 1s, phase: 1ms}}}", (1, 51),
         "phase goes with `every`; this job has `after`"),
        ("defaults: {retry: {backoff: 1h}}", (1, 29),
         "max_backoff, 10m, is shorter than backoff, 1h"),
        ("defaults: 5", (1, 11), "expected a mapping, got the number 5"),
    ],
)  # fmt: skip
def test_what_tenants_stand_on_is_checked_though_nobody_uses_it(
    tmp_path: Path, content: str, place: tuple[int, int], message: str
) -> None:
    """Sections, defaults, groups and templates are correct by themselves."""
    found = only(tmp_path, content)

    assert (place, message) == ((found.line, found.column), found.message)


def test_everything_wrong_is_told_at_once_in_order(tmp_path: Path) -> None:
    """All problems of all files come together, ordered by file, line and column."""
    (tmp_path / "b.yaml").write_text(
        "tenants:\n  acme:\n    group: glod\n    jobs:\n"
        "      x: {handler: 5, every: 1, timout: 2}\n      x: {}\n      y: 5\n"
    )
    (tmp_path / "a.yaml").write_text("groups: {gold: {a: 1}}\nzzz: 5\n")
    (tmp_path / "c.yaml").write_text("templates: {t: {j: {handler: h, cron: bad}}}\n")

    with pytest.raises(InvalidConfig) as caught:
        config.load(tmp_path)

    expected = [
        ("a.yaml", 1, 17), ("a.yaml", 2, 1),
        ("b.yaml", 3, 12), ("b.yaml", 5, 20), ("b.yaml", 5, 30), ("b.yaml", 5, 33),
        ("b.yaml", 6, 7), ("b.yaml", 7, 10),
        ("c.yaml", 1, 39),
    ]  # fmt: skip
    assert expected == [(Path(it.file).name, it.line, it.column) for it in caught.value.problems]


def test_one_mistake_is_told_once(tmp_path: Path) -> None:
    """A broken template is told where it stands, not again by each tenant that builds on it."""
    found = only(
        tmp_path,
        "templates: {t: {j: {handler: h, every: 1x}}}\ngroups: {g: {}}\ntenants:\n"
        "  a: {group: g, use: [t], jobs: {j: {timeout: 1m}}}\n"
        "  b: {group: g, use: [t], jobs: {j: ~}}\n",
    )

    assert (1, 40) == (found.line, found.column)


def test_a_file_that_cannot_be_read_makes_no_names_unknown(tmp_path: Path) -> None:
    """Groups and templates that may stand in an unreadable file are not called unknown."""
    (tmp_path / "base.yaml").write_text("groups: {g: {}\n")
    (tmp_path / "tenant.yaml").write_text("tenants: {a: {group: g, use: [t]}}\n")

    with pytest.raises(InvalidConfig) as caught:
        config.load(tmp_path)

    assert ["base.yaml"] == [Path(it.file).name for it in caught.value.problems]


def test_a_misspelt_section_makes_no_names_unknown(tmp_path: Path) -> None:
    """Groups under a misspelt `groups` are not called unknown as well."""
    found = only(tmp_path, "grups: {g: {}}\ntenants: {a: {group: g}}\n")

    assert "did you mean `groups`?" == found.help


def test_a_misspelt_field_is_not_missing_too(tmp_path: Path) -> None:
    """A field that is there under a wrong name is told as that alone."""
    found = only(
        tmp_path, HEAD + "tenants: {a: {grop: gold, jobs: {j: {handler: h, every: 1s}}}}\n"
    )

    assert "did you mean `group`?" == found.help


@pytest.mark.parametrize(
    "job",
    [
        "every: 100ms",
        "after: 366d",
        "every: 1s, phase: 0s, jitter: 999ms",
        "every: 1s, phase: 999ms",
        "every: 1s, jitter: 0ms",
        "at: 1970-01-01 00:00",
        "at: 2999-12-31 23:59:59, jitter: 366d, dst: {}",
        "between: 00:00..24:00, blackout: []",
        "between: sun-sat 00:00..24:00, blackout: [{between: 00:00..23:59}]",
        "cron: '@daily', blackout: [{from: 2026-12-24 18:00, to: 2026-12-24 18:00:01}]",
        "every: 1s, retry: {attempts: 1, backoff: 1s, max_backoff: 1s}",
        "every: 1s, retry: {attempts: 100}",
        "every: 1s, args: " + "{a: " * 31 + "{}" + "}" * 31,
        "every: 1s, args: {a: " + "x" * (60 * 1024 - 6) + "}",
    ],
)
def test_what_just_fits_is_taken(tmp_path: Path, job: str) -> None:
    """Every limit is itself allowed."""
    file = tmp_path / "rota.yaml"
    file.write_text(f"{HEAD}tenants: {{a: {{group: gold, jobs: {{j: {{handler: h, {job}}}}}}}}}\n")

    assert ["a/j"] == [it.ref for it in config.load(file).jobs]
