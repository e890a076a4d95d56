"""The forms of single fields, each with the words that editors show."""

from typing import Annotated, Any

from msgspec import Meta

from rota.common import duration, names
from rota.scheduler.config import rate

Name = Annotated[str, Meta(pattern=names.PATTERN)]
Handler = Annotated[
    str,
    Meta(
        pattern=names.HANDLER_PATTERN,
        description="The name under which a worker registered the function to call.",
        examples=["orders.import"],
    ),
]
Cron = Annotated[
    str,
    Meta(
        description="When it is due, in five crontab fields: minute hour day month weekday; or "
        "@hourly, @daily, @weekly, @monthly, @yearly. Read in the job's time zone.",
        examples=["0 3 * * *", "*/15 8-18 * * 1-5", "@daily"],
    ),
]
Every = Annotated[
    str,
    Meta(
        pattern=duration.PATTERN,
        description="Fixed rate: due each time this much time has passed. At least 100ms.",
        examples=["15m", "1h30m"],
    ),
]
After = Annotated[
    str,
    Meta(
        pattern=duration.PATTERN,
        description="Fixed delay: due this long after the last run is over. At least 100ms.",
        examples=["5m", "30s"],
    ),
]
At = Annotated[
    str,
    Meta(
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}(:[0-9]{2})?$",
        description="When it is due, once. Read in the job's time zone.",
        examples=["2026-12-24 18:00"],
    ),
]
Between = Annotated[
    str,
    Meta(
        description="Due once a day at the job's own, lasting place within this window, which may "
        "cross midnight; with days of the week, on those on which it starts. Read in the job's "
        "time zone.",
        examples=["02:00..04:00", "mon-fri 22:00..02:00"],
    ),
]
Phase = Annotated[
    str,
    Meta(
        pattern=duration.PATTERN,
        description="For `every`: how long after each full period, counted from 1970-01-01 00:00 "
        "UTC, it is due. If not given, each job has a lasting place of its own.",
        examples=["0s", "5m"],
    ),
]
Jitter = Annotated[
    str,
    Meta(
        pattern=duration.PATTERN,
        description="For `cron`, `every` and `at`: due later by the job's own, lasting share of "
        "this, so that many tenants don't start together.",
        examples=["30s"],
    ),
]
Timeout = Annotated[
    str,
    Meta(
        pattern=duration.PATTERN,
        description="How long one attempt may run.",
        examples=["30s", "2h"],
    ),
]
KillAfter = Annotated[
    str,
    Meta(
        pattern=duration.PATTERN,
        description="How long an attempt may clean up when it is told to end; then a child "
        "process is killed.",
        examples=["10s"],
    ),
]
Rest = Annotated[str, Meta(pattern=duration.PATTERN, examples=["10s", "10m"])]
Timezone = Annotated[
    str,
    Meta(
        description="The IANA time zone in which cron, at, between and blackouts are read.",
        examples=["UTC", "Europe/Berlin"],
    ),
]
Overlap = Annotated[
    str,
    Meta(
        description="What happens when a job is due while its last run is not over.",
        extra_json_schema={"enum": ["skip", "queue_one", "queue_all", "cancel", "allow"]},
    ),
]
Misfire = Annotated[
    str,
    Meta(
        description="What happens when a job was due and nobody sent it: the last one is run for "
        "all that were missed, each is run, or none.",
        extra_json_schema={"enum": ["once", "all", "skip"]},
    ),
]
MaxLateness = Annotated[
    str,
    Meta(
        pattern=duration.PATTERN,
        description="What is later than that is not run any more.",
        examples=["10m", "6h"],
    ),
]
MaxCatchUp = Annotated[
    int,
    Meta(
        ge=1,
        le=10_000,
        description="How many occurrences `misfire: all` makes up for, the last ones; and how many "
        "may wait with `overlap: queue_all`. Usually 100.",
        examples=[24],
    ),
]
CatchUpConcurrency = Annotated[
    int,
    Meta(
        ge=1,
        le=1_000_000,
        description="How many runs of the group at a time may make up for what was missed. Usually "
        "100.",
        examples=[20],
    ),
]
PauseAfterFailures = Annotated[
    Annotated[int, Meta(ge=1, le=1000)] | None,
    Meta(
        description="After so many runs in a row that died the job rests: its breaker is open, "
        "until a run that is tried from time to time succeeds. null: it never does.",
        examples=[10],
    ),
]
ProbeAfter = Annotated[
    str,
    Meta(
        pattern=duration.PATTERN,
        description="How long a job rests whose breaker is open, until one run is tried.",
        examples=["10m"],
    ),
]
FreshWithin = Annotated[
    Annotated[str, Meta(pattern=duration.PATTERN)] | None,
    Meta(
        description="How long ago its last success may be; then an alert is raised. null: never.",
        examples=["26h"],
    ),
]
Priority = Annotated[
    str,
    Meta(
        description="Which of the tenant's own queued runs go first. Lower ones are never starved.",
        extra_json_schema={"enum": ["high", "normal", "low"]},
    ),
]
Weight = Annotated[
    float,
    Meta(
        ge=0.1,
        le=1000,
        description="Weight of its share: with 2 it gets double of what one with 1 gets.",
        examples=[2],
    ),
]
MaxConcurrency = Annotated[
    int, Meta(ge=1, le=1_000_000, description="How many runs may run at a time.", examples=[5])
]
RateLimit = Annotated[
    str,
    Meta(
        pattern=rate.PATTERN,
        description="How many runs may start in a second, minute, hour or day. They are spread "
        "over it; `burst` tells how many may start at once.",
        examples=["100/m", "5/s"],
    ),
]
Burst = Annotated[
    int,
    Meta(
        ge=1,
        le=1_000_000,
        description="How many runs may start at once if none did for long. As many as the rate "
        "lets start in a second, at least 1, unless it is set.",
        examples=[20],
    ),
]
MaxBacklog = Annotated[
    int,
    Meta(
        ge=1,
        le=1_000_000,
        description="How many runs may be queued. An occurrence that is due beyond that is shed.",
        examples=[1000],
    ),
]
RetryOn = Annotated[
    tuple[str, ...],
    Meta(
        description="The errors after which it is tried again, by the names of their classes or of "
        "classes above them; any other is final. All, if not given.",
        examples=[["ConnectionError", "Timeout"]],
    ),
]
MaxTaskSize = Annotated[
    float,
    Meta(
        ge=0,
        description="For a planner: small pieces of work are merged into tasks up to this size, "
        "larger ones split, in the unit that the planner counts in. 0 for none.",
        examples=[10000],
    ),
]
TaskTime = Annotated[
    str,
    Meta(
        pattern=duration.PATTERN,
        description="For a planner: how long a task should take. Its size follows from what the "
        "job's earlier tasks took; until that is known max_task_size holds.",
        examples=["30s"],
    ),
]
Unsplittable = Annotated[
    str,
    Meta(
        description="For a planner: whether a piece above max_task_size that can't be split is an "
        "error, or a task alone.",
        extra_json_schema={"enum": ["error", "alone"]},
    ),
]
StartWhilePlanning = Annotated[
    bool,
    Meta(
        description="For a planner: whether tasks run while planning goes on. It must then "
        "yield the same pieces in the same order whenever it is tried again.",
    ),
]
DeadTask = Annotated[
    str,
    Meta(
        description="For a planner: whether the other tasks go on when one is dead, or stop.",
        extra_json_schema={"enum": ["go_on", "stop"]},
    ),
]
Stagger = Annotated[
    str,
    Meta(
        pattern=duration.PATTERN,
        description="For a planner: from the start of one task to that of the next, at least.",
        examples=["200ms"],
    ),
]
OnFailure = Annotated[
    str,
    Meta(
        pattern=names.HANDLER_PATTERN,
        description="The handler that is called, once, when the job has failed for good.",
        examples=["billing.mark-failed"],
    ),
]
Args = Annotated[
    dict[str, Any],
    Meta(
        description="What the handler is called with, by the names of its parameters.",
        examples=[{"source": "ftp"}],
    ),
]
