"""The `sched runs` commands. Imports stay inside the bodies, so that `--help` answers fast."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer
import typer.core

from rota.scheduler import session
from rota.scheduler.options import (
    JobIdArgument,
    Output,
    OutputOption,
    RefArgument,
    check_job_id,
    check_ref,
)

if TYPE_CHECKING:
    from rota.scheduler.live_run import LiveRun


class _Runs(typer.core.TyperGroup):
    """`sched runs TENANT/JOB` is `sched runs list TENANT/JOB`: no command has a slash."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        first = args[0] if args else ""
        if first not in self.commands and first not in ctx.help_option_names:
            args = ["list", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_Runs,
    help="Show what became of a job's runs, `sched runs TENANT/JOB`, or how far one of them is.",
)


@app.command("list")
def list_(
    ref: RefArgument,
    count: Annotated[int, typer.Option("-n", min=1, max=1_000, help="At most so many.")] = 20,
    form: OutputOption = Output.TABLE,
) -> None:
    """Show what became of a job's occurrences, the latest first; `list` may be left out.

    WAITED is from when a run was queued to its first start, TOOK from then to its end, or to now,
    with the rests between its ATTEMPTS. In flight is on top, and above it what is due and waits.
    """
    from rota.common import command
    from rota.common.clock import SystemClock
    from rota.scheduler import history, output

    with command.exit_codes():
        check_ref(ref)
        found = session.ask(lambda link: history.read_all(ref, link, SystemClock().now_ms()))
        if form is Output.JSON:
            output.write_json(history.as_data(found, count))
            return
        columns = ("DUE", "OUTCOME", "ATTEMPTS", "WAITED", "TOOK", "WORKER", "NOTE")
        for line in found.trouble:
            output.write_line(output.printable(line))
        rows = history.rows(found, count)
        output.write_table(f"{ref} ({found.zone})", columns, rows)
        if not rows:
            output.write_line("nothing yet")


@app.command()
def show(
    job_id: JobIdArgument,
    follow: Annotated[
        bool,
        typer.Option("--follow", "-f", help="Go on until it is over; exit 0 only if it succeeded."),
    ] = False,
    form: OutputOption = Output.TABLE,
) -> None:
    """Show how far a run is, at which rate, and what its units of work have come to."""
    from rota.common import command
    from rota.scheduler import live_run, output, run_page

    with command.exit_codes():
        check_job_id(job_id)
        if follow:
            sys.exit(0 if _follow(job_id, form).entry.outcome == "succeeded" else 1)
        run = session.ask(lambda link: live_run.read(job_id, link))
        if form is Output.JSON:
            output.write_json(live_run.as_data(run))
            return
        for line in run_page.lines(run):
            output.write_line(line)


def _follow(job_id: str, form: Output) -> "LiveRun":
    from rota.common import log, settings
    from rota.scheduler import onlooker
    from rota.scheduler.screen import Journal, Screen

    logger = log.configure(settings.read())
    page = Journal() if form is Output.JSON else Screen(live=sys.stdout.isatty())
    return session.ask(lambda link: onlooker.follow(job_id, link, page.draw, logger))
