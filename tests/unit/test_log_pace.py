"""The beats on which a worker's partitions begin their rounds."""

import asyncio

from z0.log.pace import BEAT_MAX_S, ROUND_S, Pace

PARTITIONS = 8


async def test_partitions_that_were_woken_in_one_turn_of_the_loop_go_together() -> None:
    """Their batches then leave in one request."""
    pace = Pace()
    turns = [pace.turn() for _ in range(PARTITIONS)]
    assert not any(turn.done() for turn in turns)
    await asyncio.sleep(0)
    assert all(turn.done() and turn.result() for turn in turns)


async def test_the_first_beat_after_a_pause_comes_at_once_and_the_next_after_a_time_for_each_round_of_it() -> None:
    """So a lone command waits for nothing, and many make few rounds."""
    pace, loop = Pace(), asyncio.get_running_loop()
    begun = loop.time()
    turns = [pace.turn() for _ in range(PARTITIONS)]
    await asyncio.sleep(0)
    assert all(turn.done() for turn in turns), "nobody waited"
    assert await pace.turn()
    assert loop.time() >= begun + ROUND_S * PARTITIONS


async def test_a_worker_of_many_partitions_beats_often_enough() -> None:
    """The time between beats has a bound, whatever the number of rounds."""
    pace, rounds = Pace(), 100_000
    await asyncio.gather(*(pace.turn() for _ in range(rounds)))
    async with asyncio.timeout(ROUND_S * rounds / 2):
        await pace.turn()
    assert ROUND_S * rounds / 2 > BEAT_MAX_S


async def test_who_was_answered_or_stopped_meanwhile_holds_nobody_up() -> None:
    """An engine that is stopped cancels its turn; one whose ack came first takes it back."""
    pace = Pace()
    stopped, acked, other = pace.turn(), pace.turn(), pace.turn()
    stopped.cancel()
    acked.set_result(False)
    assert await other
    assert acked.result() is False
