"""The `worker` command."""

import gc
import os
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rota.common.settings import Settings
    from rota.worker.daemon import WorkerOptions

app = typer.Typer(
    name="worker",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Run the handlers of recurring jobs.",
    epilog=(
        "Exit codes: 0 ok, 1 unexpected, 2 usage, 4 store unreachable, 6 refused. "
        "ROTA_REDIS_URL names the store (default redis://127.0.0.1:6379/0)."
    ),
)

_GARBAGE = 10_000  # objects more than before: then the collector looks at the youngest

HealthOption = Annotated[
    str,
    typer.Option(
        metavar="HOST:PORT",
        help="Serve /livez, /readyz and /metrics there; nowhere if not given.",
    ),
]


def _print_version(given: bool) -> None:
    if given:
        from rota.common import command

        command.print_version()
        raise typer.Exit


@app.callback()
def worker(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Tell the version."),
    ] = False,
) -> None:
    """Run the handlers of recurring jobs."""


@app.command()
def run(
    module: Annotated[
        str,
        typer.Option(
            "--app", metavar="MODULE", help="Module that holds the handlers: jobs, or pkg.mod:name."
        ),
    ],
    groups: Annotated[
        str, typer.Option(metavar="G1,G2", help="Groups to serve; all if not given.")
    ] = "",
    concurrency: Annotated[
        int, typer.Option(min=1, max=10_000, help="The most runs at a time.")
    ] = 16,
    grace: Annotated[
        str, typer.Option(metavar="DURATION", help="Time that running work may take after SIGTERM.")
    ] = "25s",
    health: HealthOption = "",
) -> None:
    """Start a worker daemon; any number of them share the load.

    SIGTERM or Ctrl-C: claims no more, finishes what runs within the grace time, gives the rest
    back uncounted, exits 0. A second signal, half a second later or more, exits at once; the
    leases take care of the rest.
    """
    from rota.common import command, durability, log, settings
    from rota.worker.daemon import WorkerDaemon
    from rota.worker.registry import load_app

    with command.exit_codes():
        given = settings.read()
        options = _options(given, module, groups, concurrency, grace)
        logger = log.configure(given)
        daemon = WorkerDaemon(given.redis_url, load_app(module), options, log=logger)
        _collect_seldom()
        code = command.run_supervised(
            daemon, logger, health=health, check=lambda: durability.check(given, logger)
        )
        # A thread that ignores its cancellation would keep the interpreter alive for ever.
        os._exit(code)


def _collect_seldom() -> None:
    """Leave to the garbage collector what runs leave behind, not what lives as long as we do.

    It would look at a run's objects some ten times while they are needed.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GARBAGE, 20, 20)


def _options(
    given: "Settings", module: str, groups: str, concurrency: int, grace: str
) -> "WorkerOptions":
    from rota.worker.daemon import WorkerOptions

    return WorkerOptions(
        app=module,
        groups=_groups(groups),
        concurrency=concurrency,
        grace=_grace(grace),
        lease_ms=given.lease_ms,
        gate_ms=given.gate_ms,
    )


def _groups(text: str) -> list[str]:
    from rota.common import names
    from rota.common.errors import UsageError

    groups = [group for group in text.split(",") if group]
    for group in groups:
        if not names.is_name(group):
            raise UsageError(f"--groups: {group!r} is no group name")
    return groups


def _grace(text: str) -> float:
    from rota.common import duration
    from rota.common.errors import UsageError

    try:
        return duration.parse(text) / 1000
    except ValueError as error:
        raise UsageError(f"--grace: {error}") from None
