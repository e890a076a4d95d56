"""`sched trigger`. Imports stay inside the bodies, so that `--help` is fast."""

import sys
from typing import Annotated

import typer

from rota.scheduler import session
from rota.scheduler.options import Output, OutputOption, RefArgument, check_ref

Wait = Annotated[
    bool, typer.Option("--wait", help="Print the completion, and exit 0 only if it succeeded.")
]
Timeout = Annotated[
    str,
    typer.Option(
        "--timeout",
        metavar="TIME",
        help="Wait no longer than that, say 30s; then exit 7, and the run goes on.",
    ),
]


def trigger(
    ref: RefArgument,
    *,
    wait: Wait = False,
    timeout: Timeout = "",
    form: OutputOption = Output.TABLE,
) -> None:
    """Run a job now, outside its schedule."""
    from rota.common import command
    from rota.common.errors import TimedOut
    from rota.scheduler import output
    from rota.scheduler import trigger as triggers

    with command.exit_codes():
        check_ref(ref)
        most_ms = _timeout_ms(timeout, wait=wait)
        job_id, ended = session.ask(
            lambda link: triggers.start(ref, link, wait=wait, timeout_ms=most_ms)
        )
        if form is Output.JSON:
            output.write_json(ended or {"job_id": job_id})
        else:
            output.write_line(ended.text() if ended else job_id)
        if ended is None and wait:
            follow = f"`sched runs show {job_id} --follow`"
            raise TimedOut(f"{job_id} is not over after {timeout}; it goes on ({follow})")
        sys.exit(0 if ended is None or ended.outcome == "succeeded" else 1)


def _timeout_ms(text: str, *, wait: bool) -> int:
    """Return how long to wait; 0 if that is not limited."""
    from rota.common import duration
    from rota.common.errors import UsageError

    if not text:
        return 0
    if not wait:
        raise UsageError("--timeout goes with --wait: without that nothing is waited for")
    try:
        return duration.parse(text)
    except ValueError as error:
        raise UsageError(f"--timeout: {error}") from None
