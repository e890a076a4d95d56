"""How each field of a configuration is checked, and what is expected there, in words."""

from collections.abc import Callable
from typing import Any, Final, get_args

from rota.common.job import Misfire, Overlap, Priority
from rota.scheduler.config import field, limit, phase

TEXTS: Final[dict[str, tuple[Callable[[str], object], str]]] = {
    "handler": (field.handler, "the name of a handler, such as orders.import"),
    "cron": (field.cron, 'a cron expression in quotes, such as "0 3 * * *"'),
    "every": (field.period, "a duration such as 15m"),
    "after": (field.period, "a duration such as 15m"),
    "at": (field.moment, "a date and time such as 2026-12-24 18:00"),
    "between": (field.window, "a window such as 02:00..04:00"),
    "phase": (field.share, "a duration such as 5m"),
    "jitter": (field.share, "a duration such as 30s"),
    "gap": (field.gap, "`run_after` or `skip`"),
    "fold": (field.fold, "`first`, `second` or `both`"),
    "from": (field.moment, "a date and time such as 2026-12-24 18:00"),
    "to": (field.moment, "a date and time such as 2026-12-24 18:00"),
    "reason": (field.reason, "a reason in words"),
    "timeout": (field.length, "a duration such as 15m"),
    "kill_after": (field.length, "a duration such as 10s"),
    "backoff": (field.length, "a duration such as 10s"),
    "max_backoff": (field.length, "a duration such as 10m"),
    "probe_after": (field.length, "a duration such as 10m"),
    "fresh_within": (field.length, "a duration such as 26h"),
    "timezone": (field.zone, "a time zone such as Europe/Berlin"),
    "overlap": (field.overlap, field.choice(get_args(Overlap))),
    "misfire": (field.misfire, field.choice(get_args(Misfire))),
    "max_lateness": (field.length, "a duration such as 10m"),
    "priority": (field.priority, field.choice(get_args(Priority))),
    "completed": (field.name, "the name of a job"),
    "on_failure": (field.handler, "the name of a handler, such as orders.undo"),
    "unsplittable": (phase.unsplittable, "`error` or `alone`"),
    "dead_task": (phase.dead_task, "`go_on` or `stop`"),
    "task_time": (field.length, "a duration such as 30s"),
    "stagger": (field.share, "a duration such as 200ms"),
    "rate_limit": (limit.rate_limit, "a rate such as 100/m"),
}
VALUES: Final[dict[str, Callable[[Any], object]]] = {
    "attempts": field.attempts,
    "pause_after_failures": limit.failures,
    "args": field.args,
    "weight": limit.weight,
    "max_concurrency": limit.number,
    "burst": limit.number,
    "max_backlog": limit.number,
    "runs": limit.entries,
    "days": limit.days,
    "max_catch_up": limit.catch_up,
    "catch_up_concurrency": limit.number,
    "retry_on": phase.error_names,
    "max_task_size": phase.size,
    "start_while_planning": phase.flag,
}
MAY_BE_NULL: Final = ("rate_limit", "max_concurrency", "max_backlog")  # of a tenant: no limit
NONE: Final = ("pause_after_failures", "fresh_within")  # of a job, or of the defaults: null
