"""
The lease: whether the group still counts this worker as alive. Owns: reading the group's heartbeats.

Answers to reads append nothing and so prove nothing; they are given only while a heartbeat of the current generation,
counted from its *sending* on a clock that runs through a stopped process, is younger than the session.
"""

from typing import Any

from z0.clock import Clock


class GroupLease:
    """Renewed by accepted heartbeats, in the consumer's thread; read in the engine's."""

    def __init__(self, clock: Clock, session_timeout_ms: int) -> None:
        self._clock = clock
        self._session_ms = session_timeout_ms
        self._sent_ms = -session_timeout_ms

    def holds(self) -> bool:
        return self._clock.alive_ms() - self._sent_ms < self._session_ms

    def renew(self, sent_ms: int) -> None:
        """A heartbeat (or a join) sent at this time was accepted."""
        self._sent_ms = sent_ms

    def end(self) -> None:
        """The partitions are being revoked."""
        self._sent_ms = -self._session_ms

    def watch(self, coordinator: Any) -> None:
        """Hear of the heartbeats of an aiokafka group coordinator (it offers no callback)."""
        send_heartbeat = coordinator._do_heartbeat

        async def heartbeat() -> bool:
            sent_ms = self._clock.alive_ms()
            accepted = bool(await send_heartbeat())
            if accepted:
                self.renew(sent_ms)
            return accepted

        coordinator._do_heartbeat = heartbeat
