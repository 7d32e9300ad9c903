"""Runs one worker until it is told to stop. Owns: the process: event loop, signals, logging."""

import asyncio
import logging
import os
import sys

import faust
import uvloop

from streams.alone import be_alone
from streams.app import create_app, home_of
from z0.compiled import is_in_use
from z0.config import Config
from z0.log.topics import check_topics
from z0.process import collect_little, keep_freed_memory
from z0.stack import ports

logger = logging.getLogger(__name__)


def run_worker(config: Config) -> None:
    """
    Check the topics, wait until no other process is this worker, then serve; returns by `SystemExit`.

    Raises:
        TopicMismatch: the topics are not what the ledger needs.
        StackError: the direct door cannot listen at `Z0_DOOR_HOST` and `Z0_DOOR_PORT`.
    """
    _log()
    logger.info("the kernel is %s", "compiled" if is_in_use() else "plain Python (`make env` compiles it)")
    collect_little()
    keep_freed_memory()
    sys.setswitchinterval(0.0005)
    uvloop.install()
    asyncio.run(check_topics(config))
    asyncio.set_event_loop(asyncio.new_event_loop())
    app = create_app(config)
    app.on_closed = _leave
    _lock = be_alone(home_of(config))  # held until the process ends
    # Only now: the process before, which ends while this one waits for the lock, has the same door.
    ports.check_listening(config.door_host, config.door_port, host_variable="Z0_DOOR_HOST", port_variable="Z0_DOOR_PORT")
    worker = faust.Worker(app, loop=asyncio.get_event_loop(), override_logging=False, quiet=True, redirect_stdouts=False)
    worker.execute_from_commandline()


def _leave(exit_code: int) -> None:
    """
    End at once: the engines have stopped, and what they wrote is acked and safe from any end.

    Faust and mode take 2 to 3 s more to wind up their threads, stores and loops, 10 s where the disk is full, in which these
    partitions would have no owner: it goes on telling the group that this worker lives.
    """
    logger.info("closed" if exit_code == 0 else "closed, since something stopped this worker (above)")
    logging.shutdown()
    os._exit(exit_code)


def _log() -> None:
    """Our own words at INFO, the libraries' only where something is wrong."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    for room in ("z0", "streams", "tables"):
        logging.getLogger(room).setLevel(logging.INFO)
