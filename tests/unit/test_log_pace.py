"""The beats on which a worker's partitions begin their rounds."""

import asyncio

from z0.log.pace import BEAT_MAX_S, BEAT_PER_WORK, Pace

PARTITIONS = 8


async def test_partitions_that_were_woken_in_one_turn_of_the_loop_go_together() -> None:
    """Their batches then leave in one request."""
    pace = Pace()
    turns = [pace.turn() for _ in range(PARTITIONS)]
    assert not any(turn.done() for turn in turns)
    await asyncio.sleep(0)
    assert all(turn.done() and turn.result() for turn in turns)


async def beat_that_takes(work_s: float) -> Pace:
    """A pace whose first beat came at once, and whose rounds took so long, by its own clock."""
    now_s = [0.0]
    pace = Pace(lambda: now_s[0])
    turn = pace.turn()
    turn.add_done_callback(lambda _: now_s.__setitem__(0, work_s))
    await asyncio.sleep(0)
    assert turn.done(), "nobody waited"
    await asyncio.sleep(0)
    return pace


async def test_the_first_beat_after_a_pause_comes_at_once_and_the_next_leaves_time_for_more_than_deciding() -> None:
    """So a lone command waits for nothing, and many make few rounds."""
    pace, loop = await beat_that_takes(0.001), asyncio.get_running_loop()
    begun = loop.time()
    next_turn = pace.turn()
    await asyncio.sleep(0)
    assert not next_turn.done(), "the rounds of the first took time"
    assert await next_turn
    assert loop.time() - begun >= (BEAT_PER_WORK - 1) * 0.001 - 0.0005, "uvloop waits whole milliseconds"


async def test_however_long_deciding_takes_the_next_beat_is_not_put_off_for_ever() -> None:
    """The time between beats has a bound, and it has passed when rounds took longer than that."""
    pace = await beat_that_takes(2 * BEAT_MAX_S)
    next_turn = pace.turn()
    await asyncio.sleep(0)
    assert next_turn.done()


async def test_who_was_answered_or_stopped_meanwhile_holds_nobody_up() -> None:
    """An engine that is stopped cancels its turn; one whose ack came first takes it back."""
    pace = Pace()
    stopped, acked, other = pace.turn(), pace.turn(), pace.turn()
    stopped.cancel()
    acked.set_result(False)
    assert await other
    assert acked.result() is False
