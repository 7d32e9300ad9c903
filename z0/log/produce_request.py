"""
Kafka's Produce request, version 7, written and read in one go. Owns: its bytes.

aiokafka's own walks through a schema, field by field: 100 us a request of eight partitions. The fields are those of
https://kafka.apache.org/protocol.html#The_Messages_Produce; a test holds the bytes against aiokafka's.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from io import BytesIO
from struct import Struct
from typing import Final, NamedTuple

from aiokafka import TopicPartition

API_KEY: Final = 0
API_VERSION: Final = 7
ACKS_ALL: Final = -1
_NULL: Final = -1
_HEADER: Final = Struct(">hhih")  # API key, version, correlation id, length of the client's id
_BODY: Final = Struct(">hhii")  # no transactional id, acks, time-out, number of topics
_NAME: Final = Struct(">h")
_COUNT: Final = Struct(">i")  # a correlation id, too
_PARTITION: Final = Struct(">ii")  # partition, bytes of its batch
_LANDED: Final = Struct(">ihqqq")  # partition, error code, base offset, time of the log, log start offset


class Landed(NamedTuple):
    """What became of one batch; `log_time_ms` is -1 where the producer's time counts."""

    error_code: int
    base_offset: int
    log_time_ms: int


class BatchesLanded:
    """The answer: what became of each batch."""

    def __init__(self, partitions: Mapping[TopicPartition, Landed]) -> None:
        self.partitions = partitions

    @classmethod
    def decode(cls, read_buffer: BytesIO) -> "BatchesLanded":
        """From what follows the header."""
        data = read_buffer.read()
        partitions: dict[TopicPartition, Landed] = {}
        (topics,), place = _COUNT.unpack_from(data), _COUNT.size
        for _ in range(topics):
            (length,) = _NAME.unpack_from(data, place)
            place += _NAME.size
            topic = data[place : place + length].decode()
            (count,) = _COUNT.unpack_from(data, place + length)
            place += length + _COUNT.size
            end = place + count * _LANDED.size
            for partition, code, offset, log_time_ms, _ in _LANDED.iter_unpack(data[place:end]):
                partitions[TopicPartition(topic, partition)] = Landed(code, offset, log_time_ms)
            place = end
        return cls(partitions)


class _Header(NamedTuple):
    """Of the request: version 1, without tags."""

    correlation_id: int
    client_id: str

    def encode(self) -> bytes:
        name = self.client_id.encode()
        return _HEADER.pack(API_KEY, API_VERSION, self.correlation_id, len(name)) + name


class _AnswerHeader(NamedTuple):
    correlation_id: int


class ProduceBatches:
    """A request with built record batches, as aiokafka's connections take one: what they ask of it, and no more."""

    RESPONSE_TYPE: Final = BatchesLanded

    def __init__(self, batches: Sequence[tuple[TopicPartition, bytes]], timeout_ms: int) -> None:
        self._batches = batches
        self._timeout_ms = timeout_ms

    def prepare(self, versions: Mapping[int, tuple[int, int]]) -> "ProduceBatches":
        """
        What goes to a broker that takes these (least, greatest) versions of each request.

        Raises:
            NotImplementedError: the broker does not know this one, which Kafka has had from 2.1 on.
        """
        least, greatest = versions[API_KEY]
        if not least <= API_VERSION <= greatest:
            raise NotImplementedError(f"the broker takes Produce requests of versions {least} to {greatest}, not {API_VERSION}")
        return self

    def build_request_header(self, correlation_id: int, client_id: str) -> _Header:
        """What goes before the request."""
        return _Header(correlation_id, client_id)

    def parse_response_header(self, read_buffer: BytesIO) -> _AnswerHeader:
        """What comes before the answer."""
        return _AnswerHeader(*_COUNT.unpack(read_buffer.read(_COUNT.size)))

    def encode(self) -> bytes:
        """The request without its header."""
        by_topic: dict[str, list[tuple[int, bytes]]] = defaultdict(list)
        for at, content in self._batches:
            by_topic[at.topic].append((at.partition, content))
        parts = [_BODY.pack(_NULL, ACKS_ALL, self._timeout_ms, len(by_topic))]
        for topic, batches in by_topic.items():
            name = topic.encode()
            parts += (_NAME.pack(len(name)), name, _COUNT.pack(len(batches)))
            for partition, content in batches:
                parts += (_PARTITION.pack(partition, len(content)), content)
        return b"".join(parts)
