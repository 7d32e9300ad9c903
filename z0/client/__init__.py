"""
The ledger's client: routing, batching, deadlines. `Ledger` is what everybody outside the worker codes against.

    async with connect(config) as ledger:
        answer = await ledger.submit(command)
"""

from z0.client.ports import Ledger

__all__ = ["Ledger"]
