"""
How an engine that has nothing to do waits. Owns: being woken, and an alarm that outlives the sleep.

`asyncio.Event` and `asyncio.timeout` do the same for 12 us, a third of what a round of one command costs. Most sleeps end before
their alarm: so one that is set stays for the next, and who is woken too early by it looks around and goes back to sleep.
"""

import asyncio
from asyncio import Future


class Sleep:
    """The sleep of one engine."""

    def __init__(self) -> None:
        self._asleep: Future[bool] | None = None
        self._alarm: asyncio.TimerHandle | None = None

    async def until(self, at_s: float, loop: asyncio.AbstractEventLoop) -> bool:
        """Sleep until `wake`, or at the latest until a moment of the loop's clock; whether the alarm ended it."""
        # An alarm that uvloop rings in its next turn has no `when`; it has rung, and is gone, before who sleeps can be woken.
        if self._alarm is None or self._alarm.when() > at_s:
            self.cancel()
            self._alarm = loop.call_at(at_s, self._ring)
        self._asleep = loop.create_future()
        try:
            return await self._asleep
        finally:
            self._asleep = None

    def wake(self) -> None:
        """Something came. Who is not asleep will see it anyway."""
        self._end(rang=False)

    def cancel(self) -> None:
        """No alarm any more."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _ring(self) -> None:
        self._alarm = None
        self._end(rang=True)

    def _end(self, *, rang: bool) -> None:
        if self._asleep is not None and not self._asleep.done():
            self._asleep.set_result(rang)
