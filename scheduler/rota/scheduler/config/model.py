"""What a configuration file may hold: the shape of it, with the words that editors show.

The structs accept or refuse; `inspection` says what is wrong and where. A field that was not
written is `UNSET`, so that templates and defaults can stand under it.
"""

from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from rota.common import duration, names

KINDS: Final = ("cron", "every", "after", "at", "between")  # a job has exactly one of these fields
SCHEDULE: Final = (*KINDS, "phase", "jitter")  # replaced as a whole where a job has another kind

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
        extra_json_schema={"enum": ["skip", "cancel"]},
    ),
]
Args = Annotated[
    dict[str, Any],
    Meta(
        description="What the handler is called with, by the names of its parameters.",
        examples=[{"source": "ftp"}],
    ),
]


class _Spec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A mapping in a configuration file."""


class DstSpec(_Spec, frozen=True, kw_only=True):
    """What becomes of local times that the clock skips, and of those that it shows twice."""

    gap: (
        Annotated[
            str,
            Meta(
                description="Skipped times: due once when the clock has jumped, or not at all. If "
                "not given: run_after; for cron whose minute or hour starts with a star, skip.",
                extra_json_schema={"enum": ["run_after", "skip"]},
            ),
        ]
        | UnsetType
    ) = UNSET
    fold: (
        Annotated[
            str,
            Meta(
                description="Repeated times: due the first time, the second, or both. If not "
                "given: first; for cron whose minute or hour starts with a star, both.",
                extra_json_schema={"enum": ["first", "second", "both"]},
            ),
        ]
        | UnsetType
    ) = UNSET


class BlackoutSpec(_Spec, frozen=True, kw_only=True):
    """A time in which nothing falls due: `between`, again and again, or `from` and `to`, once."""

    between: (
        Annotated[
            str,
            Meta(
                description="A window of each day, or of the days of the week on which it starts.",
                examples=["08:00..18:00", "sat,sun 00:00..24:00"],
            ),
        ]
        | UnsetType
    ) = UNSET
    start: Annotated[At, Meta(description="When it starts.")] | UnsetType = msgspec.field(
        default=UNSET, name="from"
    )
    end: Annotated[At, Meta(description="When it ends; not included.")] | UnsetType = msgspec.field(
        default=UNSET, name="to"
    )
    reason: Annotated[str, Meta(description="Why, for people.")] | UnsetType = UNSET


Blackouts = Annotated[
    tuple[BlackoutSpec, ...],
    Meta(
        description="Times in which no occurrence falls due, on the clock of the job's time zone. "
        "A tenant's are added to the defaults'; a job's own hold instead of both.",
    ),
]


class RetrySpec(_Spec, frozen=True, kw_only=True):
    """How a failing run is tried again."""

    attempts: (
        Annotated[int, Meta(ge=1, le=100, description="Attempts in all, the first included.")]
        | UnsetType
    ) = UNSET
    backoff: (
        Annotated[Rest, Meta(description="Rest before the second attempt; doubles each time.")]
        | UnsetType
    ) = UNSET
    max_backoff: Annotated[Rest, Meta(description="The longest rest.")] | UnsetType = UNSET


class JobSpec(_Spec, frozen=True, kw_only=True):
    """A job: what to call, and exactly one of cron, every, after, at and between."""

    handler: Handler | UnsetType = UNSET
    cron: Cron | UnsetType = UNSET
    every: Every | UnsetType = UNSET
    after: After | UnsetType = UNSET
    at: At | UnsetType = UNSET
    between: Between | UnsetType = UNSET
    phase: Phase | UnsetType = UNSET
    jitter: Jitter | UnsetType = UNSET
    args: Args | UnsetType = UNSET
    timezone: Timezone | UnsetType = UNSET
    dst: DstSpec | UnsetType = UNSET
    blackout: Blackouts | UnsetType = UNSET
    timeout: Timeout | UnsetType = UNSET
    kill_after: KillAfter | UnsetType = UNSET
    overlap: Overlap | UnsetType = UNSET
    retry: RetrySpec | UnsetType = UNSET


class DefaultsSpec(_Spec, frozen=True, kw_only=True):
    """What holds for every job that does not say otherwise."""

    timezone: Timezone | UnsetType = UNSET
    dst: DstSpec | UnsetType = UNSET
    blackout: Blackouts | UnsetType = UNSET
    timeout: Timeout | UnsetType = UNSET
    kill_after: KillAfter | UnsetType = UNSET
    overlap: Overlap | UnsetType = UNSET
    retry: RetrySpec | UnsetType = UNSET


class GroupSpec(_Spec, frozen=True, kw_only=True):
    """A group of tenants."""


class TenantSpec(_Spec, frozen=True, kw_only=True):
    """A tenant and its jobs."""

    group: Annotated[Name, Meta(description="The group it belongs to, one of `groups`.")]
    timezone: Timezone | UnsetType = UNSET
    dst: DstSpec | UnsetType = UNSET
    blackout: Blackouts | UnsetType = UNSET
    use: Annotated[
        list[Name], Meta(description="The templates whose jobs it has.", examples=[["standard"]])
    ] = []
    jobs: Annotated[
        dict[Name, JobSpec | None],
        Meta(
            description="Its own jobs. One that a template has, too, changes the fields it names; "
            "null leaves the template's job out."
        ),
    ] = {}


class FileSpec(_Spec, frozen=True, kw_only=True):
    """One file of a Rota configuration; a configuration is one file or a directory of them."""

    defaults: DefaultsSpec | UnsetType = UNSET
    templates: Annotated[
        dict[Name, dict[Name, JobSpec]],
        Meta(description="Sets of jobs that many tenants share, by name."),
    ] = {}
    groups: Annotated[
        dict[Name, GroupSpec | None], Meta(description="The groups that tenants belong to.")
    ] = {}
    tenants: Annotated[dict[Name, TenantSpec], Meta(description="The tenants, by name.")] = {}


BUILT_IN: Final = DefaultsSpec(
    timezone="UTC",
    dst=DstSpec(),
    blackout=(),
    timeout="15m",
    kill_after="10s",
    overlap="skip",
    retry=RetrySpec(attempts=3, backoff="10s", max_backoff="10m"),
)
