"""
The sink itself. Owns: sealing ranges, and where it goes on: after the newest manifest. Does not own: bytes and keys.

A range ends at the next multiple of `range_facts` offsets, or earlier where a tail is sealed; the next one begins where it
ended. Order of effects of sealing one range:

    1. the object is put where there is none     there is one: it must hold the same records, and then it is taken over
    2. the manifest is put where there is none   there is one: it must be the same bytes, else SinkStopped: a second writer

A crash before 1 leaves nothing. Between 1 and 2 it leaves an object without a manifest; the next start finds it by listing
and ends its first range there, so that 1 finds the same records. A crash after 2 leaves nothing to do.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

import pyarrow as pa

from sinks.archive import manifest, parquet
from sinks.archive.bucket import Bucket
from sinks.archive.manifest import Manifest
from sinks.archive.sealing import RANGE_BYTES_MAX, Gathering, SealPolicy, split
from sinks.base import Probe, no_probe
from z0.clock import Clock, SystemClock
from z0.errors import SinkStopped
from z0.log.reader import Read
from z0.log.validity import Position, Standing
from z0.names import FACTS, SINK_ARCHIVE

_OFFSET, _STANDING, _TIME, _VALUE = (parquet.SCHEMA.get_field_index(n) for n in ("offset", "standing", "timestamp_ms", "value"))
_POLICY: Final = SealPolicy()


class ArchiveSink:
    """`sinks.base.Sink` over a bucket."""

    name = SINK_ARCHIVE

    def __init__(
        self,
        url: str,
        range_facts: int,
        *,
        policy: SealPolicy = _POLICY,
        clock: Clock | None = None,
        probe: Probe = no_probe,
    ) -> None:
        self._bucket = Bucket(url)
        self._range = range_facts
        self._policy = policy
        self._clock = clock or SystemClock()
        self._probe = probe
        self._stored: dict[int, Position] = {}
        self._heads: dict[int, str] = {}  # hash of the newest manifest
        self._orphans: dict[int, int] = {}  # last offset of an object that has no manifest
        self._open: dict[int, Gathering] = {}
        self._full: list[Gathering] = []
        self._sealed_ms: dict[int, int] = {}

    @property
    def waiting(self) -> int:
        return sum(len(range_.columns) for range_ in (*self._full, *self._open.values()))

    async def start(self) -> Mapping[int, Position]:
        await asyncio.to_thread(self._resume)
        return dict(self._stored)

    def add(self, partition: int, reads: Sequence[Read], position: Position) -> None:
        rest, now_ms = list(reads), self._clock.alive_ms()
        while rest:
            range_ = self._gathering(partition, now_ms)
            cut = self._cut(partition, range_.start.next_offset)
            head, end, rest = split(rest, range_.end, end=position, cut=cut)
            range_.take(head, end, now_ms)
            if end.next_offset == cut or range_.columns.bytes > RANGE_BYTES_MAX:
                self._close_range(partition)

    async def flush(self, *, final: bool = False) -> Mapping[int, Position]:
        now_ms = self._clock.alive_ms()
        for partition, range_ in list(self._open.items()):
            if (final and len(range_.columns)) or range_.is_due(
                self._policy, sealed_ms=self._sealed_ms.get(partition), now_ms=now_ms
            ):
                self._close_range(partition)
                self._sealed_ms[partition] = now_ms
        while self._full:
            await asyncio.to_thread(self._seal, self._full[0])
            self._full.pop(0)
        return dict(self._stored)

    async def close(self) -> None:
        await asyncio.to_thread(self._bucket.close)

    def _gathering(self, partition: int, now_ms: int) -> Gathering:
        range_ = self._open.get(partition)
        if range_ is None:
            before = [full.end for full in self._full if full.partition == partition]
            start = before[-1] if before else self._stored.get(partition, Position())
            range_ = self._open[partition] = Gathering(partition, start, now_ms)
        return range_

    def _close_range(self, partition: int) -> None:
        self._full.append(self._open.pop(partition))
        self._orphans.pop(partition, None)

    def _cut(self, partition: int, first: int) -> int:
        """Where the range from `first` ends: at the next multiple, or where an object without a manifest ends."""
        full = (first // self._range + 1) * self._range
        return min(full, self._orphans.get(partition, full) + 1)

    def _resume(self) -> None:
        partitions = {*self._bucket.folders(manifest.MANIFESTS), *self._bucket.folders(manifest.OBJECTS)}
        for partition in sorted(map(int, partitions)):
            at = self._newest(partition)
            orphans = self._bucket.keys(manifest.object_prefix(partition, at.next_offset))
            if orphans:
                self._orphans[partition] = min(map(manifest.last_of, orphans))

    def _newest(self, partition: int) -> Position:
        keys = self._bucket.keys(manifest.manifest_prefix(partition))
        body = self._bucket.get(keys[-1]) if keys else None
        if body is None:
            return Position()
        self._heads[partition] = manifest.digest(body)
        self._stored[partition] = manifest.decode(body).position
        return self._stored[partition]

    def _seal(self, range_: Gathering) -> None:
        body = parquet.encode(range_.columns)
        key = manifest.object_key(range_.partition, range_.start.next_offset, range_.end.next_offset - 1)
        if not self._bucket.put_new(key, body):
            body = self._taken_over(key, range_)
        self._probe(1)
        sealed = manifest.encode(self._manifest(range_, key, body))
        self._put_manifest(range_, sealed)
        self._probe(2)
        self._heads[range_.partition] = manifest.digest(sealed)
        self._stored[range_.partition] = range_.end

    def _taken_over(self, key: str, range_: Gathering) -> bytes:
        """An object of an attempt that was cut off, perhaps by another writer version: so records are compared, not bytes."""
        there = self._bucket.get(key) or b""
        ours = [(row[_OFFSET], row[_STANDING], row[_TIME], row[_VALUE]) for row in range_.columns.rows]
        try:
            theirs = [(record.offset, standing, record.timestamp_ms, record.value) for record, standing in parquet.decode(there)]
        except pa.ArrowException as error:
            raise SinkStopped(f"{key} in the archive is no Parquet object: {error}") from error
        if ours != theirs:
            raise SinkStopped(f"{key} in the archive holds other records than the log")
        return there

    def _put_manifest(self, range_: Gathering, sealed: bytes) -> None:
        key = manifest.manifest_key(range_.partition, range_.start.next_offset)
        if not self._bucket.put_new(key, sealed) and self._bucket.get(key) != sealed:
            raise SinkStopped(
                f"another writer sealed partition {range_.partition} of the archive from {range_.start.next_offset} on"
            )

    def _manifest(self, range_: Gathering, key: str, body: bytes) -> Manifest:
        rows = range_.columns.rows
        times = [row[_TIME] for row in rows]
        return Manifest(
            format=parquet.FORMAT,
            topic=FACTS,
            partition=range_.partition,
            first_offset=range_.start.next_offset,
            last_offset=range_.end.next_offset - 1,
            object=key,
            sha256=manifest.digest(body),
            bytes=len(body),
            records=len(rows),
            facts=sum(row[_STANDING] == Standing.VALID for row in rows),
            time_min=min(times),
            time_max=max(times),
            position=range_.end,
            writer=parquet.WRITER,
            prev=self._heads.get(range_.partition, manifest.NO_MANIFEST),
        )
