"""
Ids: entity ids with their type prefix, and ledger ids. Owns: which prefixes exist and what an id may look like.

    entity id   acct_123
    ledger id   account_acct_123      class namespace + entity id
    fact id     account_acct_123.42   ledger id + seq

Source of prefixes and namespaces: the system's source document (acct_, asset_, cont_, deal_); the others follow its rule.
"""

import re
from enum import StrEnum
from typing import Final, NamedTuple


class EntityType(StrEnum):
    """What an entity is; its value is the namespace of the ledger id."""

    ACCOUNT = "account"
    ASSET = "asset"
    CONTACT = "contact"
    DEAL = "deal"
    TENANT = "tenant"
    KEY = "key"
    USER = "user"
    TOOL = "tool"
    VENDOR = "vendor"
    CAMPAIGN = "campaign"
    CONFIG = "config"
    WORKFLOW = "workflow"


PREFIXES: Final[dict[str, EntityType]] = {
    "acct": EntityType.ACCOUNT,
    "asset": EntityType.ASSET,
    "cont": EntityType.CONTACT,
    "deal": EntityType.DEAL,
    "tenant": EntityType.TENANT,
    "key": EntityType.KEY,
    "user": EntityType.USER,
    "tool": EntityType.TOOL,
    "vend": EntityType.VENDOR,
    "camp": EntityType.CAMPAIGN,
    "cfg": EntityType.CONFIG,
    "wf": EntityType.WORKFLOW,
}
ID_BYTES_MAX: Final = 128  # three UUIDs fit; it is the key of every record and stands on every fact
COMMAND_ID_BYTES_MAX: Final = 200  # five UUIDs fit; the index keeps each for 35 days
SEQ_DIGITS_MAX: Final = 18  # a seq fits 64 bits
_ENTITY_ID = re.compile(rf"({'|'.join(PREFIXES)})_[A-Za-z0-9_:\-]{{1,{ID_BYTES_MAX - 8}}}", re.ASCII)


class LedgerRef(NamedTuple):
    """A parsed ledger id."""

    type: EntityType
    entity_id: str


def entity_type(entity_id: str) -> EntityType | None:
    """The type that an entity id's prefix names, or None where it is not an entity id."""
    match = _ENTITY_ID.fullmatch(entity_id)
    return PREFIXES[match[1]] if match else None


def ledger_id(entity_id: str) -> str:
    """
    The ledger of an entity: `acct_123` -> `account_acct_123`.

    Raises:
        ValueError: the id has no known prefix.
    """
    kind = entity_type(entity_id)
    if kind is None:
        raise ValueError(f"{entity_id!r} is not an entity id; it begins with one of {', '.join(p + '_' for p in PREFIXES)}")
    return f"{kind}_{entity_id}"


def parse_ledger_id(text: str) -> LedgerRef | None:
    """The type and entity of a ledger id, or None where namespace and prefix do not belong together."""
    namespace, _, entity_id = text.partition("_")
    kind = entity_type(entity_id)
    return LedgerRef(kind, entity_id) if kind is not None and kind == namespace else None


def is_command_id(text: str) -> bool:
    """Whether a caller's command id is 1 to 200 visible ASCII characters."""
    # Not a regular expression: this is checked for every command, and str's own methods take a third of the time.
    return 0 < len(text) <= COMMAND_ID_BYTES_MAX and text.isascii() and text.isprintable() and " " not in text


def fact_id(ledger: str, seq: int) -> str:
    """The id of fact `seq` of a ledger."""
    return f"{ledger}.{seq}"


def parse_fact_id(text: str) -> tuple[str, int] | None:
    """The ledger id and seq of a fact id, or None."""
    ledger, _, seq = text.rpartition(".")
    # Bounded before it is converted: Python refuses to read a number of thousands of digits, and the text is a caller's.
    is_seq = seq.isascii() and seq.isdigit() and len(seq) <= SEQ_DIGITS_MAX and seq[0] != "0"
    return (ledger, int(seq)) if is_seq and parse_ledger_id(ledger) else None
