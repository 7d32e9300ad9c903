"""
What the command index remembers of a command. Owns: the entry, and how long it counts.
"""

from typing import Final

import msgspec
from msgspec import Struct

from z0.domain.facts import Fact, FactType
from z0.domain.outcome import Outcome

RETENTION_MS: Final = 35 * 24 * 3600 * 1000  # longer than any queue keeps a command; 124 MB of disk for a million ids


class Entry(Struct, frozen=True, array_like=True, omit_defaults=True, gc=False):
    """What a command id came to; enough to give the first answer again."""

    digest: str
    outcome: Outcome
    offset: int
    seq: int
    recorded_at: int
    currency: str | None = None
    available: str | None = None
    reservation_id: str | None = None
    expires_at: int | None = None
    detail: str | None = None

    def is_forgotten(self, now_ms: int) -> bool:
        """Whether the id is free again: by the batch's time, so that it does not depend on when a store compacts."""
        return self.recorded_at < now_ms - RETENTION_MS


class _Detail(Struct, frozen=True):
    detail: str | None = None


_decode_detail = msgspec.json.Decoder(_Detail).decode


def entry_of(fact: Fact) -> Entry | None:
    """The entry that a stored fact stands for, or None where no command asked for it."""
    if fact.command_id is None or fact.digest is None or fact.outcome is None:
        return None
    return Entry(
        fact.digest,
        Outcome(fact.outcome),
        fact.offset,
        fact.seq,
        fact.recorded_at,
        fact.currency if fact.available is not None else None,
        fact.available,
        fact.reservation_id,
        fact.expires_at,
        _decode_detail(fact.data).detail if fact.type == FactType.DECISION else None,
    )
