"""The commands on tenants and their shares. Imports stay inside the bodies: `--help` is fast."""

from typing import Annotated

import typer

from rota.scheduler import session
from rota.scheduler.options import Output, OutputOption

Group = Annotated[
    str | None, typer.Argument(metavar="GROUP", help="Only this group.", show_default=False)
]
For = Annotated[
    str,
    typer.Option(
        "--for", metavar="TIME", help="Watch for so long, 1s to 1h; else since the counters began."
    ),
]
_LEAST_MS, _MOST_MS = 1_000, 3_600_000


def tenants(group: Group = None, form: OutputOption = Output.TABLE) -> None:
    """Show each tenant in one line: its jobs, runs and limits in force, and its last failure."""
    from rota.common import command
    from rota.scheduler import output
    from rota.scheduler import tenants as lines

    with command.exit_codes():
        found = session.ask(lambda link: lines.gather(link, group))
        if form is Output.JSON:
            output.write_json(found)
            return
        output.write_table("TENANTS", lines.COLUMNS, [lines.row(line) for line in found])
        if not found:
            output.write_line("no tenant has jobs here")


def fairness(group: Group = None, period: For = "", form: OutputOption = Output.TABLE) -> None:
    """Show what tenants and groups got beside what they are entitled to; who lacks most first.

    A tenant is entitled to its part by weight of what its group got; who wants less leaves the rest
    to the others. Waits are from when a run was queued to when it was first claimed.
    """
    from rota.common import command, service
    from rota.scheduler import fairness as shares
    from rota.scheduler import fairness_page, output

    with command.exit_codes():
        seconds = _seconds(period)
        found = session.ask(lambda link: shares.measure(link, group, seconds, service.pause))
        if form is Output.JSON:
            output.write_json(found)
        else:
            fairness_page.show(found)


def add(app: typer.Typer) -> None:
    """Add these commands to `app`."""
    app.command()(tenants)
    app.command()(fairness)


def _seconds(period: str) -> float:
    from rota.common import duration
    from rota.common.errors import UsageError

    if not period:
        return 0.0
    try:
        ms = duration.parse(period)
    except ValueError as error:
        raise UsageError(f"--for: {error}") from None
    if not _LEAST_MS <= ms <= _MOST_MS:
        raise UsageError("--for: write a time from 1s to 1h, such as 10s")
    return ms / 1000
