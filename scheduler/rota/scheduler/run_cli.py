"""`sched run`. Imports stay inside the bodies, so that `--help` answers fast."""

import gc
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from rota.common.settings import Settings
    from rota.scheduler.daemon import SchedulerDaemon

app = typer.Typer()

# How many objects come before Python looks for garbage among the young ones, and how many such
# looks before it looks further. All definitions are kept, and next to nothing is in a cycle: to
# search a hundred thousand of them takes as long as to fire thousands.
_GARBAGE = (50_000, 20, 100)

ConfigArgument = Annotated[
    Path | None,
    typer.Argument(
        metavar="[CONFIG]", help="A YAML file, or a directory of them, to apply at the start."
    ),
]
HealthOption = Annotated[
    str,
    typer.Option(
        metavar="HOST:PORT",
        help="Serve /livez, /readyz and /metrics there; nowhere if not given.",
    ),
]
WatchOption = Annotated[
    bool, typer.Option("--watch", help="Apply CONFIG again when its files change.")
]


@app.command()
def run(
    config: ConfigArgument = None, health: HealthOption = "", watch: WatchOption = False
) -> None:
    """Start the scheduler daemon. It follows the configuration that is applied to the store.

    CONFIG is applied at the start, as `sched apply` does; without, what was applied is followed.
    SIGHUP reads and applies it again; what is wrong with it is logged, and changes nothing.
    SIGTERM or Ctrl-C stops it; runs in flight go on, and the next start takes them up again. A
    second signal, half a second later or more, exits at once.
    """
    from rota.common import command, durability, log, settings

    gc.set_threshold(*_GARBAGE)
    with command.exit_codes():
        given = settings.read()
        logger = log.configure(given)
        daemon = _daemon(config, watch, given, logger)
        code = command.run_supervised(
            daemon,
            logger,
            health=health,
            check=lambda: durability.check(given, logger),
            on_hangup=daemon.reload,
        )
        sys.exit(code)


def _daemon(
    config: Path | None, watch: bool, given: "Settings", logger: "FilteringBoundLogger"
) -> "SchedulerDaemon":
    from rota.common.errors import UsageError
    from rota.scheduler.daemon import SchedulerDaemon
    from rota.scheduler.source import Source

    if watch and config is None:
        raise UsageError("--watch: there is no CONFIG to watch")
    source = Source(config, watch=watch) if config else None
    return SchedulerDaemon(
        given.redis_url,
        source.load() if source else None,
        log=logger,
        gate_ms=given.gate_ms,
        lease_ms=given.lease_ms,
        command=f"sched run {config}",
        source=source,
    )
