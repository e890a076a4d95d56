"""`sched pause` and `sched resume`. Imports stay inside the bodies, so that `--help` is fast."""

from typing import TYPE_CHECKING, Annotated

import typer

from rota.scheduler import session
from rota.scheduler.options import Output, OutputOption

if TYPE_CHECKING:
    from rota.scheduler.pausing import Paused, Resumed

app = typer.Typer()

Name = Annotated[
    str, typer.Argument(metavar="TENANT[/JOB]", help="All jobs of a tenant, such as acme; or one.")
]
Reason = Annotated[str, typer.Option(metavar="TEXT", help="Why, for whoever asks later.")]


@app.command()
def pause(name: Name, reason: Reason = "", form: OutputOption = Output.TABLE) -> None:
    """Let nothing of a tenant, or of a job, be enqueued until it is resumed.

    What falls due meanwhile is recorded as paused, and not made up for. Runs that are queued or
    under way go on. No configuration that is applied changes it.
    """
    from rota.common import command
    from rota.scheduler import output, pausing

    with command.exit_codes():
        pausing.check(name)
        done = session.ask(lambda link: pausing.pause(name, reason, link))
        output.write_json(done) if form is Output.JSON else _show_paused(done)


@app.command()
def resume(name: Name, form: OutputOption = Output.TABLE) -> None:
    """Let a tenant, or a job, run again at its times; breakers that are open are closed."""
    from rota.common import command
    from rota.scheduler import output, pausing

    with command.exit_codes():
        pausing.check(name)
        done = session.ask(lambda link: pausing.resume(name, link))
        output.write_json(done) if form is Output.JSON else _show_resumed(done)


def _show_paused(done: "Paused") -> None:
    from rota.scheduler import output

    if done.already:
        why = f": {done.why}" if done.why else ""
        text = f"{done.paused} is paused already, since {done.since} by {done.by}{why}"
    else:
        jobs = f" ({output.counted(done.jobs, 'job')})" if "/" not in done.paused else ""
        text = f"{done.paused} paused{jobs}; schedulers keep to it within 2 s, runs in flight go on"
    output.write_line(output.printable(text))


def _show_resumed(done: "Resumed") -> None:
    from rota.scheduler import output

    if done.was_paused:
        output.write_line(f"{done.resumed} resumed")
    for ref in done.breakers_closed:
        output.write_line(f"{ref}: breaker closed")
    if not done.was_paused and not done.breakers_closed:
        output.write_line(
            f"nothing to resume: {done.resumed} is not paused, and no breaker is open"
        )
    for name in done.still_paused:
        output.write_line(f"{name} stays paused by itself: sched resume {name}")
