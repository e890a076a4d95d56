"""What a configuration file may hold within a job, or the defaults: its small mappings."""

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from rota.scheduler.config.form import (
    At,
    DeadTask,
    Handler,
    MaxTaskSize,
    Name,
    Rest,
    RetryOn,
    Stagger,
    StartWhilePlanning,
    TaskTime,
    Timeout,
    Unsplittable,
)


class Spec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A mapping in a configuration file."""


class DstSpec(Spec, frozen=True, kw_only=True):
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


class BlackoutSpec(Spec, frozen=True, kw_only=True):
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


class RetrySpec(Spec, frozen=True, kw_only=True):
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


class OnSpec(Spec, frozen=True, kw_only=True):
    """What else starts a job: the success of another job of the same tenant."""

    completed: Annotated[
        Name,
        Meta(description="The job, of the same tenant, each success of which starts this one."),
    ]


PhaseArgs = Annotated[
    dict[str, Any],
    Meta(
        description="What its handler is called with, over the job's `args`, name by name.",
        examples=[{"carriers": 500}],
    ),
]


class PhaseSpec(Spec, frozen=True, kw_only=True):
    """One of the steps of a job, by a handler of its own. What it leaves out is the job's."""

    handler: Handler
    timeout: Timeout | UnsetType = UNSET
    retry: RetrySpec | UnsetType = UNSET
    retry_on: RetryOn | UnsetType = UNSET
    max_task_size: MaxTaskSize | UnsetType = UNSET
    task_time: TaskTime | UnsetType = UNSET
    unsplittable: Unsplittable | UnsetType = UNSET
    start_while_planning: StartWhilePlanning | UnsetType = UNSET
    dead_task: DeadTask | UnsetType = UNSET
    stagger: Stagger | UnsetType = UNSET
    args: PhaseArgs | UnsetType = UNSET


Phases = Annotated[
    tuple[PhaseSpec, ...],
    Meta(
        description="What the job does, step by step, instead of `handler`: each begins when the "
        "last one, with all its tasks, is done.",
        min_length=1,
        max_length=50,
    ),
]
