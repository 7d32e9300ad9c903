"""
Following `z0.configs`. Owns: keeping a book up to date with the topic. Does not own: writing it (`sinks/configs`).
"""

import logging
from collections.abc import Sequence

import msgspec

from z0.configs.book import Book
from z0.domain.config import decode_version
from z0.log.following import Follower, read_all
from z0.log.ports import Record
from z0.names import CONFIGS, CONFIGS_POSITION_PREFIX

logger = logging.getLogger(__name__)


class ConfigReader:
    """Fills a book from the topic, then keeps it up to date."""

    def __init__(self, servers: str, book: Book | None = None, topic: str = CONFIGS) -> None:
        self.book = book if book is not None else Book()
        self._follower = Follower(servers, topic, self._take)

    async def start(self) -> None:
        """
        Read everything there is, then follow: decisions may be taken from here on.

        Raises:
            Unreachable: Kafka does not answer.
        """
        await self._follower.start()
        logger.info("%d configs", len(self.book), extra={"action": "configs_read"})

    async def stop(self) -> None:
        """Stop following; the book stays as it is."""
        await self._follower.stop()

    @property
    def behind(self) -> int | None:
        """Records of the topic that are not in the book yet; None: not connected, and trying again."""
        return self._follower.behind

    def _take(self, records: Sequence[Record]) -> None:
        fill(self.book, records)
        if self.behind:
            logger.info("configs: %d records behind", self.behind)


def fill(book: Book, records: Sequence[Record]) -> None:
    """Add what records of the topic hold; positions of the sink are passed over, and what is no config is named."""
    for record in records:
        if record.key.startswith(CONFIGS_POSITION_PREFIX) or not record.value:
            continue
        try:
            book.add(decode_version(record.value))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            logger.error("offset %d of %s is no config: %s", record.offset, CONFIGS, error)


async def read_book(servers: str, topic: str = CONFIGS) -> Book:
    """
    A book as of now, for a look.

    Raises:
        Unreachable: Kafka does not answer.
    """
    book = Book()
    await read_all(servers, topic, lambda records: fill(book, records))
    return book
