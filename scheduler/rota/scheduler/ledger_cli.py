"""The commands that read the ledger. Imports stay inside the bodies, so that `--help` is fast."""

from typing import TYPE_CHECKING, Annotated

import typer

from rota.scheduler import session
from rota.scheduler.options import Output, OutputOption, check_ref

if TYPE_CHECKING:
    from rota.scheduler.history import History

Ref = Annotated[str, typer.Argument(metavar="TENANT/JOB", help="Such as acme/vacuum.")]
At = Annotated[
    str,
    typer.Option(
        "--at",
        metavar="TIME",
        help="When it was due: 2026-11-23T02:00 in the job's zone, or with an offset; or 02:00.",
    ),
]


def runs(
    ref: Ref,
    count: Annotated[int, typer.Option("-n", min=1, max=1_000, help="At most so many.")] = 20,
    form: OutputOption = Output.TABLE,
) -> None:
    """Show what became of a job's occurrences, the latest first."""
    from rota.common import command
    from rota.scheduler import history, output

    with command.exit_codes():
        found = _read(ref)
        if form is Output.JSON:
            output.write_json(history.as_data(found, count))
            return
        columns = ("DUE", "OUTCOME", "ATTEMPTS", "WAITED", "TOOK", "WORKER", "NOTE")
        rows = history.rows(found, count)
        output.write_table(f"{ref} ({found.zone})", columns, rows)
        if not rows:
            output.write_line("nothing yet")


def why(ref: Ref, at: At = "", form: OutputOption = Output.TABLE) -> None:
    """Tell what became of an occurrence of a job, or why it did not run; else of the last one."""
    from rota.common import command
    from rota.scheduler import history, output
    from rota.scheduler import why as whys

    with command.exit_codes():
        found = _read(ref)
        moment = whys.moment(at, found) if at else None
        run_id = whys.run_at(found, moment) if moment else None
        if run_id is not None:
            found = session.ask(lambda link: history.with_run(found, run_id, link))
        lines = whys.tell(found, moment)
        if form is Output.JSON:
            entries = [history.data_of(entry) for entry in whys.find(found, moment)]
            output.write_json({"job": ref, "entries": entries, "told": lines[2:]})
            return
        for line in lines:
            output.write_line(output.printable(line))


def add(app: typer.Typer) -> None:
    """Add these commands to `app`."""
    app.command()(runs)
    app.command()(why)


def _read(ref: str) -> "History":
    from rota.common.clock import SystemClock
    from rota.scheduler import history

    check_ref(ref)
    return session.ask(lambda link: history.read(ref, link, SystemClock().now_ms()))
