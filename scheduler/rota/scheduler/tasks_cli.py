"""The command that shows a run's tasks. Imports stay inside the body, so that `--help` is fast."""

from typing import Annotated

import typer

from rota.scheduler import session
from rota.scheduler.options import Output, OutputOption, check_job_id


def tasks(
    job_id: Annotated[str, typer.Argument(metavar="JOB_ID", help="The run: TENANT/JOB:DUE.")],
    count: Annotated[int, typer.Option("-n", min=1, max=1_000, help="At most so many rows.")] = 10,
    form: OutputOption = Output.TABLE,
) -> None:
    """Show how far the tasks of a run are, which of them take long, and why some are dead."""
    from rota.common import command
    from rota.scheduler import output, task_page

    with command.exit_codes():
        check_job_id(job_id)
        found = session.ask(lambda link: task_page.read(job_id, link))
        if form is Output.JSON:
            output.write_json(task_page.as_data(found))
        else:
            task_page.write(found, count)


def add(app: typer.Typer) -> None:
    """Add this command to `app`."""
    app.command()(tasks)
