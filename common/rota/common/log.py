"""Logs: events are names with fields, on standard error; JSON when that is no terminal.

A traceback shows code, never the values of variables: those may be secrets.
"""

import logging
import sys
from typing import Protocol, TextIO, cast

import structlog
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import EventDict, FilteringBoundLogger, Processor

from rota.common.settings import Settings

_PLACES = ExceptionDictTransformer(show_locals=False)
_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


class Sink(Protocol):
    """Where log lines go."""

    def write(self, text: str, /) -> int:
        """Take one or more lines."""
        ...

    def flush(self) -> None:
        """Pass on what is buffered."""
        ...


def configure(settings: Settings, stream: Sink | None = None) -> FilteringBoundLogger:
    """Set up logging for this process, to standard error or `stream`, and return its logger."""
    terminal = stream is None and sys.stderr.isatty()
    text = settings.log_format == "text" or (
        settings.log_format == "auto" and (terminal or stream not in (None, sys.stderr))
    )
    # Libraries log through the standard library; only what is serious is of interest.
    logging.basicConfig(stream=sys.stderr, level=logging.ERROR)
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[Processor] = (
        [
            _below,
            structlog.dev.ConsoleRenderer(
                colors=terminal, exception_formatter=structlog.dev.plain_traceback
            ),
        ]
        if text
        else [
            structlog.processors.ExceptionRenderer(_PLACES),
            structlog.processors.JSONRenderer(),
        ]
    )
    structlog.configure(
        processors=shared + last,
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[settings.log_level]),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", stream or sys.stderr)),
        cache_logger_on_first_use=True,
    )
    log: FilteringBoundLogger = structlog.get_logger()
    return log


def within(name: str) -> FilteringBoundLogger:
    """Return a logger for a process that is not ours: through the standard library's of this name.

    It sets nothing up: the process decides what is shown, and where.
    """
    return cast(
        "FilteringBoundLogger",
        structlog.wrap_logger(
            logging.getLogger(name),
            processors=[
                structlog.stdlib.filter_by_level,
                structlog.contextvars.merge_contextvars,
                _below,
                structlog.dev.ConsoleRenderer(
                    colors=False, exception_formatter=structlog.dev.plain_traceback
                ),
            ],
            wrapper_class=structlog.stdlib.BoundLogger,
        ),
    )


def _below(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Have the traceback that came as text shown below the line, where people read it."""
    if trace := event.pop("traceback", ""):
        event["exception"] = "\n".join(_printable(line) for line in trace.splitlines())
    return event


def _printable(line: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in line)
