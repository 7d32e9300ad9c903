"""
API keys: their text, their hash and their record. Owns: the format `z0_{mode}_{tenant}_{40 base62}` and what is stored of a key.
Does not own: when a key is accepted (`api.auth`).

A key itself is stored nowhere. Its record is an entity of type `key` on the ledger, found by the first 160 bits of the key's
SHA-256 and compared by all 256. A plain hash is enough, because 40 random base62 characters cannot be guessed like a password.
"""

import re
import secrets
import string
from enum import StrEnum
from hashlib import sha256
from typing import Final, NamedTuple

from msgspec import Struct

from z0.domain.ids import ledger_id

RANDOM_LENGTH: Final = 40
_BASE62: Final = string.digits + string.ascii_letters
_TENANT: Final = r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}"
_KEY: Final = re.compile(rf"z0_(live|test)_({_TENANT})_([0-9A-Za-z]{{{RANDOM_LENGTH}}})", re.ASCII)
_TENANT_NAME: Final = re.compile(_TENANT, re.ASCII)


class Mode(StrEnum):
    """What a key is for; it is part of the key's text, so that a reader of a log sees it."""

    LIVE = "live"
    TEST = "test"


class Scope(StrEnum):
    """What a key may do."""

    READ = "read"  # state and facts
    WRITE = "write"  # commands
    ADMIN = "admin"  # in addition to the two above: the tenant's own record and its keys


class KeyParts(NamedTuple):
    """What the text of a key says."""

    mode: Mode
    tenant_id: str


class KeyRecord(Struct, frozen=True, kw_only=True):
    """`data` of a key entity."""

    hash: str
    mode: Mode
    scopes: list[Scope]
    expires_at: int | None = None  # Unix milliseconds
    revoked_at: int | None = None
    name: str | None = None


def make_key(tenant_name: str, mode: Mode) -> str:
    """A new key."""
    return f"z0_{mode}_{tenant_name}_{''.join(secrets.choice(_BASE62) for _ in range(RANDOM_LENGTH))}"


def parse_key(key: str) -> KeyParts | None:
    """Mode and tenant of a key, or None where the text is no key."""
    match = _KEY.fullmatch(key)
    return KeyParts(Mode(match[1]), tenant_entity_id(match[2])) if match else None


def hash_key(key: str) -> str:
    """What is stored of a key."""
    return sha256(key.encode()).hexdigest()


def key_entity_id(key_hash: str) -> str:
    """The entity that holds the record of a key."""
    return f"key_{key_hash[:40]}"


def key_ledger_id(key_hash: str) -> str:
    """The ledger that holds the record of a key."""
    return ledger_id(key_entity_id(key_hash))


def is_tenant_name(name: str) -> bool:
    """Whether a tenant may be called so: what fits both an entity id and the middle of a key."""
    return _TENANT_NAME.fullmatch(name) is not None


def tenant_entity_id(name: str) -> str:
    """`acme` -> `tenant_acme`."""
    return f"tenant_{name}"
