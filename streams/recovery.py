"""
The recovery of tables, as Faust does it. Owns: what of it a partition must not be taken by.

Faust's recovery takes a broker that does not answer in time for its own end: its task returns, no table recovers any more
whatever the group gives, and the worker keeps its partitions without an engine, as its heartbeats go on.
"""

import logging
from typing import Any

from aiokafka.errors import KafkaTimeoutError
from faust.tables.manager import TableManager
from faust.tables.recovery import RebalanceAgain, Recovery

logger = logging.getLogger(__name__)


class PatientRecovery(Recovery):
    """Waits for the broker however long it takes; ends only for the assignment that it began for."""

    app: Any  # our LedgerApp, with its consumer

    async def _wait(self, coro: Any, timeout: Any = None) -> None:
        """No time-out of Faust's (above): the questions have their own, and then all are asked again."""
        try:
            await super()._wait(coro)
        except (KafkaTimeoutError, TimeoutError) as error:
            logger.warning("the tables' recovery begins again: %r", error)
            self.signal_recovery_start.set()
            raise RebalanceAgain from error

    async def on_recovery_completed(self, generation_id: int = 0) -> None:
        """
        Tell who takes the partitions, when it is known what the group has of their commands.

        The next assignment may have come in the very turn in which this recovery ended: then its tables have not recovered.
        """
        await self._wait(self.app.consumer.learn_committed())
        if self.signal_recovery_start.is_set():
            raise RebalanceAgain
        await super().on_recovery_completed(generation_id)


class PromptTableManager(TableManager):
    """Faust's waits a second for tables that modules may still declare; ours are all there when the app is made."""

    @property
    def recovery(self) -> Recovery:
        if self._recovery is None:
            self._recovery = PatientRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery

    async def on_start(self) -> None:
        await self._update_channels()
        await self.recovery.start()
