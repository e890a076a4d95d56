"""`sched backfill` and `sched backfills`. Imports stay inside, so that `--help` answers fast."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from rota.scheduler import session
from rota.scheduler.options import Output, OutputOption, RefArgument, check_ref

if TYPE_CHECKING:
    from rota.common.job import Job
    from rota.scheduler.backfill import Asked

app = typer.Typer()

_SHOWN = 10  # due times that are shown at each end of a long list

From = Annotated[
    str,
    typer.Option(
        "--from",
        metavar="TIME",
        help="The first due time, included: 2026-11-23T02:00 in the job's zone, or with an offset;"
        " or 02:00; or a day, 2026-11-23, from its midnight on.",
    ),
]
To = Annotated[
    str,
    typer.Option(
        "--to",
        metavar="TIME",
        help="The last due time, included; a day alone counts to its end. What is to come is not"
        " run.",
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only list the due times.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
Stop = Annotated[bool, typer.Option("--stop", help="End the job's backfill that is under way.")]


@app.command()
def backfill(
    ref: RefArgument,
    *,
    start: From = "",
    end: To = "",
    dry_run: DryRun = False,
    yes: Yes = False,
    stop: Stop = False,
    form: OutputOption = Output.TABLE,
) -> None:
    """Run what a job was due for in the past, once more or after all, whatever became of it.

    Returns at once: the schedulers carry it out, in order of due time, one run of the job at a
    time, behind all that is live. `ctx.due` is the past due time. Times in a blackout are left out.
    At most 10,000 runs; a job has one backfill at a time.
    """
    from rota.common import command
    from rota.common.errors import UsageError

    with command.exit_codes():
        check_ref(ref)
        if stop:
            _stop(ref, form)
        elif not (start and end):
            raise UsageError("--from TIME and --to TIME are both needed; or --stop")
        else:
            _begin(ref, start, end, dry_run=dry_run, yes=yes, form=form)


@app.command()
def backfills(form: OutputOption = Output.TABLE) -> None:
    """List the backfills that are under way, and how far they are."""
    from rota.common import command
    from rota.scheduler import backfill as fills
    from rota.scheduler import output

    with command.exit_codes():
        found = session.ask(fills.under_way)
        if form is Output.JSON:
            output.write_json(found)
            return
        columns = ("JOB", "NUMBER", "FIRST DUE", "LAST DUE", "ENQUEUED", "OF", "SINCE", "BY")
        rows = [
            (f.job, f.number, f.first, f.last, f.enqueued, f.runs, f.since, f.by) for f in found
        ]
        output.write_table("BACKFILLS", columns, rows)
        if not rows:
            output.write_line("none is under way")


def _begin(ref: str, start: str, end: str, *, dry_run: bool, yes: bool, form: Output) -> None:
    from rota.common.catalog import Catalog
    from rota.common.clock import SystemClock
    from rota.scheduler import backfill as fills
    from rota.scheduler import consent, output, pausing
    from rota.scheduler import trigger as triggers

    job = session.ask(lambda link: triggers.find(ref, Catalog(link)))
    times = fills.wanted(job, start, end, SystemClock().now_ms())
    if dry_run or form is Output.TABLE:
        _show(job, times, form, everything=dry_run)
    if dry_run:
        return
    if not yes:
        consent.ask(
            f"run {'this' if len(times) == 1 else f'these {len(times)}'}?",
            nobody="not begun: nobody is there to say yes; add --yes",
            no="not begun",
        )
    done = session.ask(lambda link: fills.begin(job, times, link))
    if told := session.ask(lambda link: pausing.tell(ref, link)):
        sys.stderr.write(f"{output.printable(told)}; the backfill waits until it is resumed\n")
    output.write_json(done) if form is Output.JSON else output.write_line(_begun(done))


def _stop(ref: str, form: Output) -> None:
    from rota.scheduler import backfill as fills
    from rota.scheduler import output

    done = session.ask(lambda link: fills.stop(ref, link))
    if form is Output.JSON:
        output.write_json(done)
        return
    output.write_line(
        f"backfill {done.number} of {ref} ended: {done.enqueued} of {done.runs} runs were enqueued;"
        " one that is under way goes on"
    )


def _show(job: "Job", times: list[int], form: Output, *, everything: bool) -> None:
    """List due times; of many only the first and the last, unless `everything` is asked for."""
    from rota.scheduler import output, preview

    if form is Output.JSON:
        output.write_json([preview.fire_time(job, ms).utc for ms in times])
        return
    hidden = 0 if everything else max(0, len(times) - 2 * _SHOWN)
    for number, ms in enumerate(times):
        if not hidden or number < _SHOWN or number >= len(times) - _SHOWN:
            output.write_line(preview.fire_time(job, ms).local)
        elif number == _SHOWN:
            output.write_line(f"... {hidden} more ...")
    output.write_line(f"{output.counted(len(times), 'run')} of {job.ref}")


def _begun(done: "Asked") -> str:
    if done.already:
        return (
            f"backfill {done.number} of {done.job} is under way already: {done.enqueued} of"
            f" {done.runs} runs enqueued"
        )
    return (
        f"backfill {done.number} of {done.job} begins within 2 s; `sched backfills` tells how far"
        " it is"
    )
