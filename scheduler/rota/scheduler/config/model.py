"""What a configuration file may hold: the shape of it, with the words that editors show.

The structs accept or refuse; `inspection` says what is wrong and where. A field that was not
written is `UNSET`, so that templates and defaults can stand under it.
"""

from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from rota.common import duration, names
from rota.scheduler.config import rate

KINDS: Final = ("cron", "every", "after")  # the fields of which a job has exactly one

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
        description="The IANA time zone in which cron expressions are read.",
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
Args = Annotated[
    dict[str, Any],
    Meta(
        description="What the handler is called with, by the names of its parameters.",
        examples=[{"source": "ftp"}],
    ),
]


class _Spec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A mapping in a configuration file."""


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
    """A job: what to call, and exactly one of cron, every and after."""

    handler: Handler | UnsetType = UNSET
    cron: Cron | UnsetType = UNSET
    every: Every | UnsetType = UNSET
    after: After | UnsetType = UNSET
    args: Args | UnsetType = UNSET
    timezone: Timezone | UnsetType = UNSET
    timeout: Timeout | UnsetType = UNSET
    kill_after: KillAfter | UnsetType = UNSET
    overlap: Overlap | UnsetType = UNSET
    retry: RetrySpec | UnsetType = UNSET
    priority: Priority | UnsetType = UNSET


class DefaultsSpec(_Spec, frozen=True, kw_only=True):
    """What holds for every job, and every tenant, that does not say otherwise."""

    timezone: Timezone | UnsetType = UNSET
    timeout: Timeout | UnsetType = UNSET
    kill_after: KillAfter | UnsetType = UNSET
    overlap: Overlap | UnsetType = UNSET
    retry: RetrySpec | UnsetType = UNSET
    weight: Weight | UnsetType = UNSET
    max_concurrency: MaxConcurrency | UnsetType = UNSET
    rate_limit: RateLimit | UnsetType = UNSET
    burst: Burst | UnsetType = UNSET
    max_backlog: MaxBacklog | UnsetType = UNSET


class GroupSpec(_Spec, frozen=True, kw_only=True):
    """A group of tenants."""

    weight: Weight | UnsetType = UNSET
    max_concurrency: MaxConcurrency | UnsetType = UNSET


class HandlerSpec(_Spec, frozen=True, kw_only=True):
    """A handler's limits. They hold in each group by itself: a group is one placement unit."""

    max_concurrency: MaxConcurrency | UnsetType = UNSET


class TenantSpec(_Spec, frozen=True, kw_only=True):
    """A tenant and its jobs."""

    group: Annotated[Name, Meta(description="The group it belongs to, one of `groups`.")]
    timezone: Timezone | UnsetType = UNSET
    weight: Weight | UnsetType = UNSET
    max_concurrency: MaxConcurrency | UnsetType | None = UNSET
    rate_limit: RateLimit | UnsetType | None = UNSET
    burst: Burst | UnsetType = UNSET
    max_backlog: MaxBacklog | UnsetType | None = UNSET
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
    handlers: Annotated[
        dict[Handler, HandlerSpec],
        Meta(description="Limits of handlers, by name, in each group by itself."),
    ] = {}
    tenants: Annotated[dict[Name, TenantSpec], Meta(description="The tenants, by name.")] = {}


BUILT_IN: Final = DefaultsSpec(
    timezone="UTC",
    timeout="15m",
    kill_after="10s",
    overlap="skip",
    retry=RetrySpec(attempts=3, backoff="10s", max_backoff="10m"),
)
