"""
The ledger's client: routing, batching, deadlines. `Ledger` is what everybody outside the worker codes against.

    async with connect(config) as ledger:
        answer = await ledger.submit(command)
"""

from z0.client.direct import DirectLedger
from z0.client.ports import Ledger
from z0.config import Config

__all__ = ["DirectLedger", "Ledger", "connect"]


def connect(config: Config) -> DirectLedger:
    """A client of the cluster that the settings name; use it as an async context manager."""
    return DirectLedger(config)
