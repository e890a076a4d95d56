"""Scheduler, worker and callers in one process: the same parts, configuration and handlers."""

from rota.single.single import Single

__all__ = ["Single"]
