"""The command `python -m rota.single`. Imports stay inside the body, so that `--help` is fast."""

import os
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    name="python -m rota.single",
    add_completion=False,
    rich_markup_mode=None,
    epilog=(
        "Exit codes: 0 ok, 1 unexpected, 2 usage, 3 config invalid, 4 store unreachable, 6 refused."
        " ROTA_REDIS_URL names the store (default redis://127.0.0.1:6379/0)."
    ),
)


ConfigArgument = Annotated[
    Path, typer.Argument(metavar="CONFIG", help="A YAML file, or a directory of them.")
]
AppOption = Annotated[
    str,
    typer.Option(
        "--app", metavar="MODULE", help="Module that holds the handlers: jobs, or pkg.mod:name."
    ),
]
EmbeddedOption = Annotated[
    bool, typer.Option("--embedded", help="Start a store of its own: in memory, lost at the end.")
]
WatchOption = Annotated[
    bool, typer.Option("--watch", help="Apply CONFIG again when its files change.")
]
ConcurrencyOption = Annotated[int, typer.Option(min=1, max=10_000, help="The most runs at a time.")]
GraceOption = Annotated[
    str, typer.Option(metavar="DURATION", help="Time that running work may take after SIGTERM.")
]
HealthOption = Annotated[
    str,
    typer.Option(
        metavar="HOST:PORT",
        help="Serve /livez, /readyz and /metrics there; nowhere if not given.",
    ),
]


@app.command()
def run(
    config: ConfigArgument,
    module: AppOption,
    *,
    embedded: EmbeddedOption = False,
    watch: WatchOption = False,
    concurrency: ConcurrencyOption = 16,
    grace: GraceOption = "25s",
    health: HealthOption = "",
) -> None:
    """Run a scheduler and a worker in one process, for a small installation.

    CONFIG is applied at the start; SIGHUP reads it again. SIGTERM or Ctrl-C: claims no more,
    finishes what runs within the grace time, gives the rest back uncounted, exits 0. A second
    signal, half a second later or more, exits at once.
    """
    from rota.common import command, durability, log, settings
    from rota.single.single import Single

    with command.exit_codes():
        given = settings.read()
        logger = log.configure(given)
        single = Single(
            config,
            module,
            embedded=embedded,
            concurrency=concurrency,
            grace=_seconds(grace),
            watch=watch,
            command=f"rota.single {config}",
            given=given,
            log=logger,
        )

        check = _nothing if embedded else partial(durability.check, given, logger)
        code = command.run_supervised(
            single, logger, health=health, check=check, on_hangup=single.reload
        )
        # A thread that ignores its cancellation would keep the interpreter alive for ever.
        os._exit(code)


async def _nothing() -> None:
    """Promise nothing of a store in memory."""


def _seconds(grace: str) -> float:
    from rota.common import duration
    from rota.common.errors import UsageError

    try:
        return duration.parse(grace) / 1000
    except ValueError as error:
        raise UsageError(f"--grace: {error}") from None
