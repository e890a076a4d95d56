"""`sched why`. Imports stay inside the bodies, so that `--help` is fast."""

from typing import TYPE_CHECKING, Annotated

import typer

from rota.scheduler import session
from rota.scheduler.options import Output, OutputOption, RefArgument, check_ref

if TYPE_CHECKING:
    from rota.scheduler.history import History

At = Annotated[
    str,
    typer.Option(
        "--at",
        metavar="TIME",
        help="When it was due: 2026-11-23T02:00 in the job's zone, or with an offset; or 02:00.",
    ),
]


def why(ref: RefArgument, at: At = "", form: OutputOption = Output.TABLE) -> None:
    """Tell what became of an occurrence of a job, or why it did not run; else of the last one."""
    from rota.common import command
    from rota.scheduler import history, output
    from rota.scheduler import why as whys

    with command.exit_codes():
        found = _read(ref)
        moment = whys.moment(at, found.zone, found.now_ms) if at else None
        run_id = whys.run_at(found, moment) if moment else None
        if run_id is not None:
            found = session.ask(lambda link: history.with_run(found, run_id, link))
        lines = whys.tell(found, moment)
        told = lines[lines.index("") + 1 :]
        if form is Output.JSON:
            entries = [history.data_of(entry) for entry in whys.find(found, moment)]
            output.write_json({"job": ref, "entries": entries, "now": found.trouble, "told": told})
            return
        for line in lines:
            output.write_line(output.printable(line))


def _read(ref: str) -> "History":
    from rota.common.clock import SystemClock
    from rota.scheduler import history

    check_ref(ref)
    return session.ask(lambda link: history.read_all(ref, link, SystemClock().now_ms()))
