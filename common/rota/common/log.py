"""Logs: events are names with fields, on standard error; JSON when that is no terminal."""

import logging
import sys

import structlog
from structlog.typing import FilteringBoundLogger, Processor

from rota.common.settings import Settings

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def configure(settings: Settings) -> FilteringBoundLogger:
    """Set up logging for this process and return its logger."""
    text = settings.log_format == "text" or (
        settings.log_format == "auto" and sys.stderr.isatty()
    )
    # Libraries log through the standard library; only what is serious is of interest.
    logging.basicConfig(stream=sys.stderr, level=logging.ERROR)
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[Processor] = (
        [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
        if text
        else [structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer()]
    )
    structlog.configure(
        processors=shared + last,
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[settings.log_level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    log: FilteringBoundLogger = structlog.get_logger()
    return log
