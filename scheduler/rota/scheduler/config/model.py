"""What a configuration file may hold: the shape of it; `form` has its fields, one by one.

The structs accept or refuse; `inspection` says what is wrong and where. A field that was not
written is `UNSET`, so that templates and defaults can stand under it.
"""

from typing import Annotated, Final

from msgspec import UNSET, Meta, UnsetType

from rota.common.retention import USUAL
from rota.scheduler.config.form import (
    After,
    Args,
    At,
    Between,
    Burst,
    CatchUpConcurrency,
    Cron,
    DeadTask,
    Every,
    FreshWithin,
    Handler,
    Jitter,
    KillAfter,
    MaxBacklog,
    MaxCatchUp,
    MaxConcurrency,
    MaxLateness,
    MaxTaskSize,
    Misfire,
    Name,
    OnFailure,
    Overlap,
    PauseAfterFailures,
    Phase,
    Priority,
    ProbeAfter,
    RateLimit,
    RetryOn,
    Stagger,
    StartWhilePlanning,
    TaskTime,
    Timeout,
    Timezone,
    Unsplittable,
    Weight,
)
from rota.scheduler.config.part import Blackouts, DstSpec, OnSpec, Phases, RetrySpec, Spec

KINDS: Final = ("cron", "every", "after", "at", "between", "on")  # a job has exactly one of these
SCHEDULE: Final = (*KINDS, "phase", "jitter")  # replaced as a whole where a job has another kind


class JobSpec(Spec, frozen=True, kw_only=True):
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
    misfire: Misfire | UnsetType = UNSET
    max_lateness: MaxLateness | UnsetType = UNSET
    max_catch_up: MaxCatchUp | UnsetType = UNSET
    retry: RetrySpec | UnsetType = UNSET
    pause_after_failures: PauseAfterFailures | UnsetType = UNSET
    probe_after: ProbeAfter | UnsetType = UNSET
    fresh_within: FreshWithin | UnsetType = UNSET
    retry_on: RetryOn | UnsetType = UNSET
    max_task_size: MaxTaskSize | UnsetType = UNSET
    task_time: TaskTime | UnsetType = UNSET
    unsplittable: Unsplittable | UnsetType = UNSET
    start_while_planning: StartWhilePlanning | UnsetType = UNSET
    dead_task: DeadTask | UnsetType = UNSET
    stagger: Stagger | UnsetType = UNSET
    priority: Priority | UnsetType = UNSET


class LedgerSpec(Spec, frozen=True, kw_only=True):
    """How much is kept of what became of each job's occurrences."""

    runs: (
        Annotated[int, Meta(ge=1, le=1_000, description="So many of the last runs of each job.")]
        | UnsetType
    ) = UNSET
    days: Annotated[int, Meta(ge=1, le=3_650, description="Nothing that is older.")] | UnsetType = (
        UNSET
    )


class DefaultsSpec(Spec, frozen=True, kw_only=True):
    """What holds for every job, and every tenant, that does not say otherwise."""

    timezone: Timezone | UnsetType = UNSET
    dst: DstSpec | UnsetType = UNSET
    blackout: Blackouts | UnsetType = UNSET
    timeout: Timeout | UnsetType = UNSET
    kill_after: KillAfter | UnsetType = UNSET
    overlap: Overlap | UnsetType = UNSET
    misfire: Misfire | UnsetType = UNSET
    max_lateness: MaxLateness | UnsetType = UNSET
    max_catch_up: MaxCatchUp | UnsetType = UNSET
    retry: RetrySpec | UnsetType = UNSET
    pause_after_failures: PauseAfterFailures | UnsetType = UNSET
    probe_after: ProbeAfter | UnsetType = UNSET
    fresh_within: FreshWithin | UnsetType = UNSET
    weight: Weight | UnsetType = UNSET
    max_concurrency: MaxConcurrency | UnsetType = UNSET
    rate_limit: RateLimit | UnsetType = UNSET
    burst: Burst | UnsetType = UNSET
    max_backlog: MaxBacklog | UnsetType = UNSET
    ledger: LedgerSpec | UnsetType = UNSET


class GroupSpec(Spec, frozen=True, kw_only=True):
    """A group of tenants."""

    weight: Weight | UnsetType = UNSET
    max_concurrency: MaxConcurrency | UnsetType = UNSET
    ledger: LedgerSpec | UnsetType = UNSET
    catch_up_concurrency: CatchUpConcurrency | UnsetType = UNSET


class HandlerSpec(Spec, frozen=True, kw_only=True):
    """A handler's limits. They hold in each group by itself: a group is one placement unit."""

    max_concurrency: MaxConcurrency | UnsetType = UNSET


class TenantSpec(Spec, frozen=True, kw_only=True):
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


class FileSpec(Spec, frozen=True, kw_only=True):
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
    pause_after_failures=None,
    probe_after="10m",
    fresh_within=None,
    misfire="once",
    max_catch_up=100,
    retry=RetrySpec(attempts=3, backoff="10s", max_backoff="10m"),
    ledger=LedgerSpec(runs=USUAL.runs, days=USUAL.days),
)
