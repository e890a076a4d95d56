"""The `sched` command. Imports stay inside the bodies, so that `--help` answers fast."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from rota.scheduler import (
    backfill_cli,
    check_cli,
    config_cli,
    dead_cli,
    ledger_cli,
    pause_cli,
    run_cli,
    runs_cli,
    session,
    shares_cli,
    tasks_cli,
    trigger_cli,
)
from rota.scheduler.options import (
    JobIdArgument,
    Output,
    OutputOption,
    RefArgument,
    check_job_id,
    check_ref,
)

app = typer.Typer(
    name="sched",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    epilog=(
        "Exit codes: 0 ok, 1 unexpected, 2 usage, 3 config invalid, 4 store unreachable, "
        "5 not found, 6 refused, 7 timed out. "
        "ROTA_REDIS_URL names the store (default redis://127.0.0.1:6379/0)."
    ),
)

app.add_typer(run_cli.app)
app.add_typer(config_cli.app)
app.add_typer(pause_cli.app)
app.add_typer(backfill_cli.app)
app.add_typer(dead_cli.app, name="dead")
app.add_typer(runs_cli.app, name="runs")
app.command()(ledger_cli.why)
shares_cli.add(app)
tasks_cli.add(app)


def _print_version(given: bool) -> None:
    if given:
        from rota.common import command

        command.print_version()
        raise typer.Exit


@app.callback()
def sched(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Tell the version."),
    ] = False,
) -> None:
    """Schedule the recurring jobs of many tenants."""


@app.command()
def dev(
    config: Annotated[
        Path | None,
        typer.Argument(
            metavar="CONFIG", help="File or directory; rota.yaml or config/ if not given."
        ),
    ] = None,
    module: Annotated[
        str | None,
        typer.Option(
            "--app", metavar="MODULE", help="Module of the handlers; jobs.py if not given."
        ),
    ] = None,
    workers: Annotated[
        int, typer.Option(min=1, max=16, help="How many workers. One that ends, ends all.")
    ] = 1,
    concurrency: Annotated[int, typer.Option(min=1, help="The most runs at a time, each.")] = 16,
) -> None:
    """Try it all in one command: a store in memory, a scheduler, a worker and a live view."""
    from rota.common import command
    from rota.scheduler import config as configs
    from rota.scheduler import dev as devs

    with command.exit_codes():
        chosen = devs.options(config, module, workers, concurrency)
        sys.exit(devs.run(chosen, configs.load(chosen.config)))


app.command()(check_cli.check)


@app.command("next")
def next_(
    ref: RefArgument,
    count: Annotated[int, typer.Option("-n", min=1, max=10_000, help="How many.")] = 10,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", metavar="FILE", help="Read the job from here, not from the store."
        ),
    ] = None,
    form: OutputOption = Output.TABLE,
) -> None:
    """Show the coming fire times of a job, in its zone and in UTC."""
    from rota.common import command
    from rota.common.clock import SystemClock
    from rota.scheduler import output, pausing
    from rota.scheduler.preview import preview, table

    with command.exit_codes():
        check_ref(ref)
        shown = preview(_find_job(ref, config), SystemClock().now_ms(), count)
        if form is Output.JSON:
            output.write_json(shown)
            return
        output.write_line(f"{shown.job}  {shown.schedule}  ({shown.timezone})")
        columns, rows = table(shown)
        output.write_table("", columns, rows)
        paused = "" if config else session.ask(lambda link: pausing.tell(ref, link))
        for line in filter(None, (shown.note, paused)):
            output.write_line(output.printable(line))


def _find_job(ref: str, config: Path | None) -> Any:
    from rota.common.catalog import Catalog
    from rota.common.errors import NotFound
    from rota.scheduler import config as configs
    from rota.scheduler import trigger as triggers

    if config is None:
        return session.ask(lambda link: triggers.find(ref, Catalog(link)))
    found = [job for job in configs.load(config).jobs if job.ref == ref]
    if not found:
        raise NotFound(f"no job {ref} in {config}")
    return found[0]


@app.command()
def schema() -> None:
    """Print the JSON Schema of the configuration, for editors."""
    from rota.scheduler import config as configs
    from rota.scheduler import output

    output.write_json(configs.schema())


@app.command()
def status(
    tenant: Annotated[
        str | None, typer.Option(metavar="TENANT", help="Only this tenant, with its jobs.")
    ] = None,
    jobs: Annotated[bool, typer.Option("--jobs", help="Also every job, of all tenants.")] = False,
    form: OutputOption = Output.TABLE,
) -> None:
    """Show groups, workers, tenants and runs, with --tenant or --jobs the jobs as well.

    Below that: what is paused, which breakers are open, which jobs are stale.

    A worker that registered last more than two periods ago, which are 5 s each, is marked silent.
    In JSON `jobs` is null when they were not asked for.
    """
    import msgspec

    from rota.common import command
    from rota.common.catalog import Catalog
    from rota.common.clock import SystemClock
    from rota.scheduler import output, status_page, trouble, trouble_page
    from rota.scheduler import status as statuses

    async def read(link: Any) -> tuple[statuses.Status, trouble.Trouble]:
        gathered = await statuses.gather(Catalog(link), tenant, jobs=jobs)
        return gathered, await trouble.find(link, tenant)

    with command.exit_codes():
        gathered, found = session.ask(read)
        if form is Output.JSON:
            output.write_json(msgspec.to_builtins(gathered) | msgspec.to_builtins(found))
        else:
            status_page.show(gathered, now=SystemClock())
            trouble_page.show(found)


app.command()(trigger_cli.trigger)


@app.command()
def cancel(job_id: JobIdArgument, form: OutputOption = Output.TABLE) -> None:
    """End a run: at once if it waits, else its handler is cancelled."""
    from rota.common import command
    from rota.scheduler import canceller, output

    with command.exit_codes():
        check_job_id(job_id)
        word = session.ask(lambda link: canceller.cancel(job_id, link))
        if form is Output.JSON:
            output.write_json({"job_id": job_id, "state": word})
        else:
            output.write_line(f"{job_id}  {word}")
