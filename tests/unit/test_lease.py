"""The lease: what it is counted from, and for how long it holds. Nothing else stands between a read and a state of yesterday."""

from collections.abc import Awaitable, Callable

from streams.lease import GroupLease
from z0.clock import ManualClock

SESSION_MS = 10_000


class Coordinator:
    """Of an aiokafka group: its heartbeats take as long, and are answered as, a test says."""

    def __init__(self, send: Callable[[], Awaitable[bool]]) -> None:
        self._do_heartbeat = send

    async def beat(self) -> bool:
        return await self._do_heartbeat()


def test_a_lease_that_was_never_renewed_does_not_hold() -> None:
    """A worker that has not joined yet owns nothing."""
    assert not GroupLease(ManualClock(SESSION_MS * 5), SESSION_MS).holds()


def test_a_lease_holds_for_one_session_and_not_a_millisecond_more() -> None:
    """Then the group may have given its partitions to another."""
    clock = ManualClock(SESSION_MS * 5)
    lease = GroupLease(clock, SESSION_MS)
    lease.renew(clock.alive_ms())
    clock.advance(SESSION_MS - 1)
    assert lease.holds()
    clock.advance(1)
    assert not lease.holds()


def test_a_lease_that_was_ended_does_not_hold() -> None:
    """The partitions are being given up."""
    clock = ManualClock(SESSION_MS * 5)
    lease = GroupLease(clock, SESSION_MS)
    lease.renew(clock.alive_ms())
    lease.end()
    assert not lease.holds()


async def test_a_heartbeat_counts_from_its_sending_however_late_its_answer_is_read() -> None:
    """A worker that stood still meanwhile reads an answer that was given before anybody took over."""
    clock = ManualClock(SESSION_MS * 5)
    lease = GroupLease(clock, SESSION_MS)

    async def send() -> bool:
        clock.advance(SESSION_MS)
        return True

    coordinator = Coordinator(send)
    lease.watch(coordinator)
    assert await coordinator.beat()
    assert not lease.holds()


async def test_a_heartbeat_that_was_refused_renews_nothing() -> None:
    """It says that the group goes on without this worker."""
    clock = ManualClock(SESSION_MS * 5)
    lease, answers = GroupLease(clock, SESSION_MS), iter([False, True])

    async def send() -> bool:
        return next(answers)

    coordinator = Coordinator(send)
    lease.watch(coordinator)
    assert not await coordinator.beat()
    assert not lease.holds()
    assert await coordinator.beat()
    assert lease.holds()
