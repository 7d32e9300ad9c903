"""
Proving the archive from the bucket alone. Owns: every check of `z0 verify`, and the report. Writes nothing.

It proves everything up to the newest manifest of each partition, under one condition that no bucket can prove of itself:
that the newest manifest there is the newest that was ever written. Whoever noted its hash can give it (`known`).
"""

from collections.abc import Collection, Iterator
from typing import Final, NamedTuple

import pyarrow as pa

from sinks.archive import manifest, parquet
from sinks.archive.bucket import Bucket
from sinks.archive.manifest import NO_MANIFEST, Manifest
from sinks.reading import SteppingReader
from z0.codec import hash_of
from z0.domain.facts import ZERO_HASH, StoredFact
from z0.errors import Z0Error
from z0.log.ports import Record
from z0.log.reader import Read
from z0.log.validity import Position, Standing


class ArchiveBroken(Z0Error):
    """The archive does not prove what it holds."""


class Proved(NamedTuple):
    """What was proved of one partition; `head` is the hash of its newest manifest."""

    partition: int
    manifests: int
    records: int
    facts: int
    ledgers: int
    position: Position
    head: str


def verify(bucket: Bucket, known: Collection[str] = ()) -> Iterator[Proved]:
    """
    Check partition by partition; every hash of a manifest in `known` must be met.

    Raises:
        ArchiveBroken: at the first thing that is not as it must be.
        StoreUnavailable: S3 does not answer.
    """
    missing = set(known)
    for partition in sorted(map(int, bucket.folders(manifest.MANIFESTS))):
        proof = _Partition(partition)
        for key in bucket.keys(manifest.manifest_prefix(partition)):
            proof.check(bucket, key)
            missing.discard(proof.head)
        yield proof.proved()
    if missing:
        raise ArchiveBroken(f"the archive does not hold the manifest {min(missing)}: its end was cut off, or written anew")


_HEAD_BEFORE_FIRST: Final = (0, ZERO_HASH)


class _Partition:
    """Walks one partition's manifests, carrying the chain of manifests, the reader, and the head of every ledger."""

    def __init__(self, partition: int) -> None:
        self._partition = partition
        self._reader = SteppingReader(partition, Position())
        self._ledgers: dict[str, tuple[int, str]] = {}
        self._manifests = self._records = self._facts = 0
        self.head = NO_MANIFEST

    def proved(self) -> Proved:
        return Proved(
            self._partition, self._manifests, self._records, self._facts, len(self._ledgers), self._reader.position, self.head
        )

    def check(self, bucket: Bucket, key: str) -> None:
        """One manifest with its object."""
        body = bucket.get(key) or b""
        sealed = manifest.decode(body)
        _must(sealed.partition == self._partition, key, "it is of another partition")
        _must(key == manifest.manifest_key(self._partition, sealed.first_offset), key, "its key does not belong to its range")
        _must(sealed.prev == self.head, key, "it does not follow the manifest before it")
        at = self._reader.position.next_offset
        _must(sealed.first_offset == at, key, f"it begins at offset {sealed.first_offset}, not at {at}")
        self._check_object(bucket, sealed)
        self.head = manifest.digest(body)
        self._manifests += 1

    def _check_object(self, bucket: Bucket, sealed: Manifest) -> None:
        key = sealed.object
        body = bucket.get(key)
        _must(body is not None, key, "it is missing")
        assert body is not None
        _must(manifest.digest(body) == sealed.sha256, key, "its bytes are not those that its manifest names")
        try:
            records = parquet.decode(body)
        except (pa.ArrowException, ValueError) as error:
            raise ArchiveBroken(f"{key}: it is no Parquet object of ours: {error}") from error
        _must(len(records) == sealed.records, key, f"it holds {len(records)} records, its manifest names {sealed.records}")
        offsets = [record.offset for record, _ in records]
        _must(offsets == list(range(sealed.first_offset, sealed.last_offset + 1)), key, "its offsets have a hole")
        facts = self._check_records(key, records)
        _must(facts == sealed.facts, key, f"it holds {facts} valid facts, its manifest names {sealed.facts}")
        _must(self._reader.position == sealed.position, key, "a reader ends at another position than its manifest names")

    def _check_records(self, key: str, records: list[tuple[Record, str]]) -> int:
        reads, _ = self._reader.read([record for record, _ in records])
        facts = 0
        for read, (_, standing) in zip(reads, records, strict=True):
            if read.standing is not standing and read.standing != standing:
                raise ArchiveBroken(f"{key}: offset {read.offset} is {read.standing}, but was archived as {standing}")
            if read.standing is Standing.VALID:
                self._check_fact(key, read, read.fact)
                facts += 1
        self._records += len(reads)
        self._facts += facts
        return facts

    def _check_fact(self, key: str, read: Read, fact: StoredFact | None) -> None:
        assert fact is not None, "a valid record is a fact"
        if hash_of(read.value) != fact.hash:
            raise ArchiveBroken(f"{key}: the bytes of fact {fact.id} do not have its hash")
        seq, head = self._ledgers.get(fact.ledger_id, _HEAD_BEFORE_FIRST)
        if fact.seq != seq + 1 or fact.prev_hash != head:
            raise ArchiveBroken(f"{key}: fact {fact.id} does not follow fact {seq} of its ledger")
        self._ledgers[fact.ledger_id] = (fact.seq, fact.hash)


def _must(holds: bool, key: str, otherwise: str) -> None:
    if not holds:
        raise ArchiveBroken(f"{key}: {otherwise}")
