"""Limits as people write them: in defaults, tenants, groups and handlers, with error places."""

from pathlib import Path

import pytest

from rota.common.limits import GroupLimits, TenantLimits
from rota.common.retention import Retention
from rota.scheduler import config
from rota.scheduler.config import InvalidConfig, rate

JOBS = "jobs: {j: {handler: h, every: 1h}}"


def limits(tmp_path: Path, text: str) -> GroupLimits:
    """Return the limits of group `gold` as a file of this content declares them."""
    file = tmp_path / "rota.yaml"
    file.write_text(text)
    return config.load(file).limits["gold"]


def tenant(tmp_path: Path, own: str, defaults: str = "{}") -> TenantLimits:
    """Return the limits of a tenant with these fields."""
    text = f"defaults: {defaults}\ngroups: {{gold: }}\ntenants: {{acme: {{group: gold{own}}}}}\n"
    return limits(tmp_path, text).tenants["acme"]


def test_nothing_is_no_limit(tmp_path: Path) -> None:
    """Who says nothing has weight 1 and no limit."""
    text = f"groups: {{gold: , silver: {{}}}}\ntenants: {{acme: {{group: gold, {JOBS}}}}}\n"

    assert GroupLimits(tenants={"acme": TenantLimits()}) == limits(tmp_path, text)


def test_tenant(tmp_path: Path) -> None:
    """A tenant's share and limits are what it says."""
    own = ", weight: 2, max_concurrency: 5, rate_limit: 100/m, burst: 20, max_backlog: 1000"

    assert TenantLimits(
        weight=2.0, max_concurrency=5, interval_ms=600.0, burst=20, max_backlog=1000
    ) == tenant(tmp_path, own)


def test_defaults(tmp_path: Path) -> None:
    """A tenant stands on the defaults field by field, and null takes a limit away."""
    defaults = "{weight: 3, max_concurrency: 5, rate_limit: 10/s, max_backlog: 9}"

    assert TenantLimits(
        weight=3.0, max_concurrency=7, interval_ms=100.0, burst=10, max_backlog=9
    ) == tenant(tmp_path, ", max_concurrency: 7", defaults)
    assert TenantLimits(weight=3.0) == tenant(
        tmp_path, ", max_concurrency: ~, rate_limit: null, max_backlog: ~", defaults
    )


@pytest.mark.parametrize(
    ("written", "burst"), [("100/m", 2), ("5/s", 5), ("60/m", 1), ("1/d", 1), ("7200/h", 2)]
)
def test_burst_of_a_second(written: str, burst: int) -> None:
    """Unless it is set, as many may start at once as the rate lets start in a second."""
    assert burst == rate.default_burst(*rate.parse(written))


@pytest.mark.parametrize(
    ("written", "shown"),
    [(text, text) for text in ("7/d", "100/m", "5/s", "1/h", "999/s", "299/h", "86399/d")]
    + [("6000/m", "100/s"), ("60/h", "1/m"), ("24/d", "1/h")],
)
def test_rate_is_shown(written: str, shown: str) -> None:
    """A rate is shown as it is written, or as another way to write the same."""
    count, period_ms = rate.parse(written)

    assert shown == rate.text(period_ms / count)


def test_ledger(tmp_path: Path) -> None:
    """What is kept stands on the defaults, field by field; these on 20 runs and 30 days."""
    usual = limits(tmp_path, "groups: {gold: }")
    own = limits(
        tmp_path, "defaults: {ledger: {runs: 50}}\ngroups: {gold: {ledger: {days: 400}}}\n"
    )

    assert Retention(runs=20, days=30) == usual.ledger
    assert Retention(runs=50, days=400) == own.ledger


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("groups: {gold: {ledger: {runs: 0}}}", "write a number of runs from 1 to 1000"),
        ("groups: {gold: {ledger: {days: 30d}}}", "expected a number of days, got text"),
        ("groups: {gold: {ledger: {dais: 30}}}", "did you mean `days`?"),
        ("groups: {gold: {ledger: 20}}", "expected a mapping"),
        ("defaults: {ledger: {days: 9999}}", "write a number of days from 1 to 3650"),
    ],
)
def test_wrong_ledger(tmp_path: Path, text: str, told: str) -> None:
    """What can't be kept is refused, with its place and what to write."""
    file = tmp_path / "rota.yaml"
    file.write_text(f"{text}\n")
    with pytest.raises(InvalidConfig) as refused:
        config.load(file)

    assert told in str(refused.value)
    assert "rota.yaml:1:" in str(refused.value)


def test_burst_without_a_rate(tmp_path: Path) -> None:
    """A burst of the defaults says nothing of a tenant that has no rate."""
    defaults = "{rate_limit: 10/s, burst: 7}"

    assert TenantLimits() == tenant(tmp_path, ", rate_limit: ~", defaults)


def test_groups_and_handlers(tmp_path: Path) -> None:
    """Groups have a weight and a limit of their own; a handler's limit holds in every group."""
    text = (
        "groups: {gold: {weight: 4, max_concurrency: 50}, silver: }\n"
        "handlers: {orders.import: {max_concurrency: 10}, mail: {}}\n"
    )

    assert GroupLimits(weight=4.0, max_concurrency=50, handlers={"orders.import": 10}) == limits(
        tmp_path, text
    )
    assert {"orders.import": 10} == config.load(tmp_path / "rota.yaml").limits["silver"].handlers


def test_priority(tmp_path: Path) -> None:
    """A job has the priority that it names, or normal."""
    file = tmp_path / "rota.yaml"
    file.write_text(
        "groups: {g: }\ntemplates: {t: {a: {handler: h, every: 1h, priority: low}}}\n"
        "tenants: {x: {group: g, use: [t], jobs: {a: {every: 2h}, b: {handler: h, every: 1h}}}}\n"
    )

    assert ["low", "normal"] == [job.priority for job in config.load(file).jobs]


@pytest.mark.parametrize(
    ("text", "place", "message", "advice"),
    [
        ("groups: {g: {weight: 0}}", (1, 22), "0 is out of range",
         "write a weight from 0.1 to 1000"),
        ("groups: {g: {weight: heavy}}", (1, 22),
         "expected a weight such as 2 or 0.5, got text", ""),
        ("groups: {g: {max_concurrency: 0}}", (1, 31), "0 is out of range",
         "write a number of runs from 1 to 1000000"),
        ("groups: {g: {max_concurrency: 2.5}}", (1, 31),
         "expected a number of runs, got the number 2.5", ""),
        ("groups: {g: {max_backlog: 2}}", (1, 14), "unknown field `max_backlog`",
         "known fields are weight, max_concurrency, ledger, catch_up_concurrency"),
        ("handlers: {h: {weight: 2}}", (1, 16), "unknown field `weight`",
         "known fields are max_concurrency"),
        ("handlers: {a b: {}}", (1, 12), "`a b` is no handler's name",
         "write the name that a worker registered, such as orders.import"),
        ("defaults: {rate_limit: 100/min}", (1, 24),
         "'100/min' is no rate; write for example 5/s, 100/m, 1000/h or 1/d", ""),
        ("defaults: {rate_limit: 2000/s}", (1, 24),
         "'2000/s' is out of range; a rate is at most 1000/s", ""),
        ("defaults: {rate_limit: 5}", (1, 24),
         "expected a rate such as 100/m, got the number 5", ""),
        ("groups: {g: }\ntenants: {a: {group: g, burst: 2}}", (2, 25),
         "burst has no rate_limit that it belongs to",
         "add for example `rate_limit: 100/m`, or delete burst"),
        ("groups: {g: }\ntenants: {a: {group: g, weight: ~}}", (2, 33),
         "expected a weight such as 2 or 0.5, got null", ""),
        ("templates: {t: {j: {handler: h, every: 1s, priority: urgent}}}", (1, 54),
         "unknown priority `urgent`", "write `high`, `normal` or `low`"),
    ],
)  # fmt: skip
def test_wrong(
    tmp_path: Path, text: str, place: tuple[int, int], message: str, advice: str
) -> None:
    """What a limit can get wrong is told at its place, with what to do."""
    file = tmp_path / "rota.yaml"
    file.write_text(text + "\n")
    with pytest.raises(InvalidConfig) as caught:
        config.load(file)
    (found,) = caught.value.problems

    assert (place, message, advice) == ((found.line, found.column), found.message, found.help)
