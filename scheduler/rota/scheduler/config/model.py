"""What a configuration file may hold: the shape of it; `form` has its fields, one by one.

The structs accept or refuse; `inspection` says what is wrong and where. A field that was not
written is `UNSET`, so that templates and defaults can stand under it.
"""

from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from rota.scheduler.config.form import (
    After,
    Args,
    At,
    Between,
    Burst,
    Cron,
    DeadTask,
    Every,
    Handler,
    Jitter,
    KillAfter,
    MaxBacklog,
    MaxConcurrency,
    MaxTaskSize,
    Name,
    OnFailure,
    Overlap,
    Phase,
    Priority,
    RateLimit,
    Rest,
    RetryOn,
    Stagger,
    StartWhilePlanning,
    Timeout,
    Timezone,
    Unsplittable,
    Weight,
)

KINDS: Final = ("cron", "every", "after", "at", "between", "on")  # a job has exactly one of these
SCHEDULE: Final = (*KINDS, "phase", "jitter")  # replaced as a whole where a job has another kind


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


class OnSpec(_Spec, frozen=True, kw_only=True):
    """What else starts a job: the success of another job of the same tenant."""

    completed: Annotated[
        Name,
        Meta(description="The job, of the same tenant, each success of which starts this one."),
    ]


class PhaseSpec(_Spec, frozen=True, kw_only=True):
    """One of the steps of a job, by a handler of its own. What it leaves out is the job's."""

    handler: Handler
    timeout: Timeout | UnsetType = UNSET
    retry: RetrySpec | UnsetType = UNSET
    retry_on: RetryOn | UnsetType = UNSET
    max_task_size: MaxTaskSize | UnsetType = UNSET
    unsplittable: Unsplittable | UnsetType = UNSET
    start_while_planning: StartWhilePlanning | UnsetType = UNSET
    dead_task: DeadTask | UnsetType = UNSET
    stagger: Stagger | UnsetType = UNSET


Phases = Annotated[
    tuple[PhaseSpec, ...],
    Meta(
        description="What the job does, step by step, instead of `handler`: each begins when the "
        "last one, with all its tasks, is done.",
        min_length=1,
        max_length=50,
    ),
]


class JobSpec(_Spec, frozen=True, kw_only=True):
    """A job: what to call, and exactly one of cron, every, after, at, between and on."""

    handler: Handler | UnsetType = UNSET
    phases: Phases | UnsetType = UNSET
    on_failure: OnFailure | UnsetType = UNSET
    cron: Cron | UnsetType = UNSET
    every: Every | UnsetType = UNSET
    after: After | UnsetType = UNSET
    at: At | UnsetType = UNSET
    between: Between | UnsetType = UNSET
    on: OnSpec | UnsetType = UNSET
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
    retry_on: RetryOn | UnsetType = UNSET
    max_task_size: MaxTaskSize | UnsetType = UNSET
    unsplittable: Unsplittable | UnsetType = UNSET
    start_while_planning: StartWhilePlanning | UnsetType = UNSET
    dead_task: DeadTask | UnsetType = UNSET
    stagger: Stagger | UnsetType = UNSET
    priority: Priority | UnsetType = UNSET


class DefaultsSpec(_Spec, frozen=True, kw_only=True):
    """What holds for every job, and every tenant, that does not say otherwise."""

    timezone: Timezone | UnsetType = UNSET
    dst: DstSpec | UnsetType = UNSET
    blackout: Blackouts | UnsetType = UNSET
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
    handlers: Annotated[
        dict[Handler, HandlerSpec],
        Meta(description="Limits of handlers, by name, in each group by itself."),
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
