"""Calls handlers from any process, and waits for replies. It stands on `rota.common` alone."""

from rota.client.client import Client
from rota.client.errors import CallFailed, CallLost, CallTimeout
from rota.client.sync import SyncClient

__all__ = ["CallFailed", "CallLost", "CallTimeout", "Client", "SyncClient"]
