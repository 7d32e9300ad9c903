"""
The way of a command to its servers, and the words for one that cannot be used. Owns: looking whether the topics are there first,
and which server or setting an error of a library belongs to. Does not own: the errors that z0's rooms raise themselves.
"""

import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from z0.errors import Z0Error, refused
from z0.names import FACTS, OWNERS

if TYPE_CHECKING:
    from z0.client import DirectLedger
    from z0.config import Config

T = TypeVar("T")
# By their modules' names: to import them all for their errors' sake would cost every command half a second.
_LIBRARIES: Final = (("aiokafka.errors", "KafkaError", "Kafka"), ("psycopg", "Error", "Postgres"))


async def with_ledger(work: Callable[["DirectLedger"], Awaitable[T]]) -> T:
    """What `work` gives, with a client of the cluster that the settings name."""
    from z0.config import from_env

    async with ledger_of(from_env()) as ledger:
        return await work(ledger)


@asynccontextmanager
async def ledger_of(config: "Config") -> AsyncIterator["DirectLedger"]:
    """
    A client of a cluster.

    Raises:
        Unreachable: Kafka does not answer.
        TopicMismatch: its topics are not there yet, or have another number of partitions than the settings say.
    """
    from z0.client import connect

    await check(config, FACTS, OWNERS)
    async with connect(config) as ledger:
        yield ledger


async def check(config: "Config", *topics: str) -> None:
    """
    Look whether topics are there.

    Raises:
        Unreachable, TopicMismatch: as above.
    """
    from z0.log.topics import check_there

    await check_there(config, *topics)


def told(error: Exception) -> str | None:
    """What a person is told of an error that no room took up; None: it is a fault of z0, and its traceback is what helps."""
    if isinstance(error, Z0Error):
        return str(error)
    if isinstance(error, OSError):
        return _of_home(error)
    for module, name, server in _LIBRARIES:
        if isinstance(error, getattr(sys.modules.get(module), name, ())):
            return refused(server, "a request", error)
    return None


def _of_home(error: OSError) -> str | None:
    """Any command may stumble over the data folder, at any time: it cannot be made, or written, or is full."""
    from z0.config import from_env

    try:
        home = from_env().home.expanduser().resolve()
    except Z0Error:
        return None
    if not isinstance(error.filename, str) or not Path(error.filename).resolve().is_relative_to(home):
        return None
    return f"the folder Z0_HOME={home} cannot be used: {error.strerror} ({error.filename}); make it usable, or give another one"
