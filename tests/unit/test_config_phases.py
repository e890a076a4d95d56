"""Phases and what binds tasks, as one writes them."""

from pathlib import Path

import msgspec
import pytest

from rota.common import message
from rota.common.job import FREE, Job, Phase, Retry, Schedule, Tasks
from rota.scheduler import config
from rota.scheduler.config import InvalidConfig
from rota.scheduler.config.field import LARGE_ADVICE, NAME_ADVICE
from rota.scheduler.difference import fields
from rota.scheduler.preview import describe
from rota.scheduler.schedule import upcoming

NIGHTLY = """
      nightly:
        every: 1d
        timeout: 1h
        retry: {attempts: 5}
        retry_on: [ConnectionError]
        phases:
          - handler: billing.create
            max_task_size: 1000
            task_time: 30s
            start_while_planning: true
          - handler: billing.send
            retry: {backoff: 1s}
            retry_on: [Timeout]
            dead_task: stop
            unsplittable: alone
            stagger: 200ms
          - {handler: billing.post, timeout: 5m}
        on_failure: billing.mark
"""


def load(tmp_path: Path, jobs: str, template: str = "") -> list[Job]:
    """Return the jobs of one tenant."""
    file = tmp_path / "rota.yaml"
    use = "    use: [t]\n" if template else ""
    templates = f"templates:\n  t:{template}" if template else ""
    file.write_text(
        f"groups: {{g: {{}}}}\n{templates}\ntenants:\n  a:\n    group: g\n{use}    jobs:{jobs}\n"
    )
    return config.load(file).jobs


def refused(tmp_path: Path, job: str) -> tuple[str, str]:
    """Return what is wrong with a job, and the advice."""
    with pytest.raises(InvalidConfig) as caught:
        load(tmp_path, f"\n      j: {{every: 1s, {job}}}")
    (problem,) = caught.value.problems
    return problem.message, problem.help


def test_phases(tmp_path: Path) -> None:
    """Each phase is what it says, and what the job says where it does not."""
    (job,) = load(tmp_path, NIGHTLY)
    five = Retry(attempts=5)

    assert ("billing.create", five, 3_600_000) == (job.handler, job.retry, job.timeout_ms)
    assert (("ConnectionError",), Tasks(max_size=1_000, time_ms=30_000, early=True)) == (
        job.retry_on,
        job.tasks,
    )
    send = Phase(
        handler="billing.send",
        timeout_ms=3_600_000,
        retry=Retry(attempts=5, backoff_ms=1_000),
        retry_on=("Timeout",),
        tasks=Tasks(at_once=True, alone=True, stagger_ms=200),
    )
    post = Phase(
        handler="billing.post", timeout_ms=300_000, retry=five, retry_on=("ConnectionError",)
    )
    assert (send, post) == job.phases
    assert Phase(handler="billing.mark", timeout_ms=3_600_000, retry=five) == job.on_failure
    assert ("billing.create", "billing.send", "billing.post", "billing.mark") == job.handlers


LONG = "x" * 35_000
ARGS = """
      j:
        every: 1d
        args: {shops: 12, currency: EUR}
        phases:
          - {handler: a, args: {shops: 3}}
          - {handler: b}
          - {handler: c, args: {carriers: 5}}
        on_failure: d
"""


def test_args_of_a_phase(tmp_path: Path) -> None:
    """A phase has the job's args with its own over them; so has the first, and none else has those.

    A worker is told those of the phase that it is to carry out.
    """
    (job,) = load(tmp_path, ARGS)
    body = message.encode(message.request_for(job))
    told = [message.decode_request(b"\x92" + body + bytes([phase])).args for phase in (2, 3, 4)]
    usual = {"shops": 12, "currency": "EUR"}
    wanted = [
        ("a", usual | {"shops": 3}),
        ("b", usual),
        ("c", usual | {"carriers": 5}),
        ("d", usual),
    ]

    assert wanted == job.calls
    assert [args for _, args in wanted[1:]] == [msgspec.msgpack.decode(args) for args in told]


def test_args_that_are_the_first_phases(tmp_path: Path) -> None:
    """Args that all phases share are in a message once."""
    jobs = "\n      j: {every: 1d, args: {a: 1}, phases: [{handler: a}, {handler: b}]}"
    (job,) = load(tmp_path, jobs)

    assert [None] == [phase.args for phase in job.phases]


def test_changed_args_are_named(tmp_path: Path) -> None:
    """A plan names the arg of the phase that changes."""
    (old,), (new,) = (
        load(tmp_path, ARGS),
        load(tmp_path, ARGS.replace("carriers: 5", "carriers: 6")),
    )

    assert [("phases.3.args.carriers", 5, 6)] == fields(old, new)


def test_one_handler(tmp_path: Path) -> None:
    """A job with one handler has the same settings, and its messages are as small as ever."""
    plain, planned = load(
        tmp_path,
        "\n      a: {every: 1s, handler: h}\n      b: {every: 1s, handler: h, max_task_size: 5}",
    )

    assert () == plain.phases
    assert plain.tasks is FREE
    assert Tasks(max_size=5) == planned.tasks
    assert b"tasks" not in message.encode(message.request_for(plain))


def test_over_a_template(tmp_path: Path) -> None:
    """A tenant's phases replace a template's handler, and its handler a template's phases."""
    template = (
        "\n    j: {every: 1s, handler: h}\n    k: {every: 1s, phases: [{handler: a}, {handler: b}]}"
    )
    j, k = load(
        tmp_path,
        "\n      j: {phases: [{handler: x}, {handler: y}]}\n      k: {handler: z}",
        template,
    )

    assert ("x", "y") == j.handlers
    assert ("z",) == k.handlers


@pytest.mark.parametrize(
    ("job", "message", "advice"),
    [
        ("handler: h, phases: [{handler: h}]", "a job has `handler` or `phases`; this has both",
         "delete one of them; each phase names its own handler"),
        ("phases: []", "a job has 1 to 50 phases; this has 0", "mend the list"),
        ("phases: h", "expected a list of phases, got text",
         "write for example [{handler: orders.import}]"),
        ("phases: [{}]", "missing field `handler`", None),
        ("phases: [{handler: h, retry_one: [X]}]", "unknown field `retry_one`",
         "did you mean `retry_on`?"),
        ("phases: [{handler: h, args: [1]}]",
         "expected a mapping of the handler's parameters, got a list", None),
        (f"phases: [{{handler: h, args: {{a: {LONG}}}}}, {{handler: i, args: {{a: {LONG}}}}}]",
         "args of the phases take 70,012 bytes; the limit is 60 KiB", LARGE_ADVICE),
        ("handler: h, task_time: 5",
         "expected a duration such as 30s, got the number 5", None),
        ("phases: [{handler: h, dead_task: x}]", "unknown dead_task `x`",
         "write `go_on` or `stop`"),
        ("handler: h, unsplittable: x", "unknown unsplittable `x`", "write `error` or `alone`"),
        ("handler: h, max_task_size: -1", "expected the largest size of a task, got the number -1",
         "write a number, in the unit of the sizes that the planner tells"),
        ("handler: h, start_while_planning: 1", "expected true or false, got the number 1", ""),
        ("handler: h, retry_on: Timeout", "expected a list of names of errors, got text", ""),
        ("handler: h, retry_on: [a-b]", "`a-b` is no name of an error",
         "write the names of error classes, such as [ConnectionError, Timeout]"),
        ("handler: h, stagger: soon",
         "'soon' is no duration; write for example 500ms, 30s, 15m, 1h30m or 2d", ""),
        ("handler: h, on_failure: 3",
         "expected the name of a handler, such as orders.undo, got the number 3", ""),
    ],
)  # fmt: skip
def test_refusals(tmp_path: Path, job: str, message: str, advice: str | None) -> None:
    """What is wrong with a phase is told, with what to write instead."""
    told = refused(tmp_path, job)

    assert message == told[0]
    assert advice in (None, told[1])


def test_on_success(tmp_path: Path) -> None:
    """A job may wait for the success of another one, which a template may bring."""
    template = "\n    first: {every: 1d, handler: h}"
    _, second, third = load(
        tmp_path,
        "\n      second: {on: {completed: first}, handler: h}"
        "\n      third: {on: {completed: second}, handler: h}",
        template,
    )

    assert Schedule(kind="on", completed="first") == second.schedule
    assert "on second's success" == describe(third)
    assert [] == upcoming(third, 0, 5)


@pytest.mark.parametrize(
    ("jobs", "message", "advice"),
    [
        ("j: {handler: h, on: {completed: other}}", "job j waits for `other`: no such job",
         "name a job of the tenant"),
        ("{jobs: {handler: h, every: 1s}, j: {handler: h, on: {completed: job}}}",
         "job j waits for `job`: no such job", "did you mean `jobs`?"),
        ("j: {handler: h, on: {completed: j}}", "jobs wait in a circle: j for j",
         "give one of them a schedule"),
        ("{a: {handler: h, on: {completed: b}}, b: {handler: h, on: {completed: a}}}",
         "jobs wait in a circle: a for b, b for a", "give one of them a schedule"),
        ("j: {handler: h, on: other}", "expected a mapping of fields, got text", ""),
        ("j: {handler: h, on: {}}", "missing field `completed`", "write `on: {completed: JOB}`"),
        ("j: {handler: h, on: {completed: a/b}}", "`a/b` is no name", NAME_ADVICE),
        ("j: {handler: h, on: {completed: j}, jitter: 1s}", "jitter does not go with `on`",
         "delete it; it starts when the other job has succeeded"),
        ("j: {handler: h, on: {completed: j}, every: 1s}",
         "a job has one of cron, every, after, at, between and on; this has `on` already",
         "delete one of them"),
    ],
)  # fmt: skip
def test_refused_waits(tmp_path: Path, jobs: str, message: str, advice: str) -> None:
    """A job that would wait for ever, or for nothing, is refused."""
    with pytest.raises(InvalidConfig) as caught:
        load(tmp_path, f" {jobs}" if jobs.startswith("{") else f"\n      {jobs}")

    assert (message, advice) in [(each.message, each.help) for each in caught.value.problems]


def test_waits_are_told_with_the_rest(tmp_path: Path) -> None:
    """Jobs that wait in vain are told with whatever else is wrong, each at its `on`."""
    jobs = """
      a: {handler: h, on: {completed: b}}
      b: {handler: h, on: {completed: a}, timeout: soon}
      c: {handler: h, on: {completed: gone}}
      d: {handler: h, cron: 5}"""
    with pytest.raises(InvalidConfig) as caught:
        load(tmp_path, jobs)
    found = [(each.line, each.column, each.message) for each in caught.value.problems]
    first = found[0][0]

    assert [
        (first, 27, "jobs wait in a circle: a for b, b for a"),
        (first + 1, 52, "'soon' is no duration; write for example 500ms, 30s, 15m, 1h30m or 2d"),
        (first + 2, 27, "job c waits for `gone`: no such job"),
    ] == found[:3]
    assert 4 == len(found)


def test_waits_behind_a_template(tmp_path: Path) -> None:
    """Where a template is not known nobody can say that a job is missing, but a circle is one."""
    file = tmp_path / "rota.yaml"
    file.write_text(
        "groups: {g: {}}\ntenants:\n  t:\n    group: g\n    use: [other]\n    jobs:\n"
        "      a: {handler: h, on: {completed: b}}\n      b: {handler: h, on: {completed: b}}\n"
    )
    with pytest.raises(InvalidConfig) as caught:
        config.load(file)

    assert ["unknown template `other`", "jobs wait in a circle: b for b"] == [
        problem.message for problem in caught.value.problems
    ]


def test_changes_are_named(tmp_path: Path) -> None:
    """A plan names the field of the phase that changes."""
    (old,) = load(tmp_path, NIGHTLY)
    (new,) = load(tmp_path, NIGHTLY.replace("[Timeout]", "[KeyError]").replace("5m", "6m"))

    assert [
        ("phases.2.retry_on", ("Timeout",), ("KeyError",)),
        ("phases.3.timeout", "5m", "6m"),
    ] == [(change.field, change.old, change.new) for change in fields(old, new)]
