"""Runs one worker until it is told to stop. Owns: the process: event loop, signals, logging."""

import asyncio
import gc
import logging
import sys

import faust
import uvloop

from streams.app import create_app
from z0.config import Config
from z0.log.topics import check_topics


def run_worker(config: Config) -> None:
    """
    Check the topics, then serve; returns by `SystemExit`.

    Raises:
        TopicMismatch: the topics are not what the ledger needs.
    """
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    # The hot path makes few cycles and many small objects: with the default thresholds a fifth of the time goes into
    # looking for garbage (measured: 35,000 and 45,000 decisions a second on the twins).
    gc.set_threshold(100_000, 50, 100)
    uvloop.install()
    asyncio.run(check_topics(config))
    asyncio.set_event_loop(asyncio.new_event_loop())
    app = create_app(config)
    faust.Worker(app, loglevel="WARN", loop=asyncio.get_event_loop(), blocking_timeout=None).execute_from_commandline()
