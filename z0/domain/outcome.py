"""
The closed list of what a command can come to. A refusal is data; an exception is a fault.

The order of the members is their precedence: a command that deserves several gets the first. Adding a member forces a
decision in every `match` below and in the API's table of statuses; `docs/reference/outcomes.md` is generated from here.
"""

from enum import StrEnum
from typing import assert_never, final


class Kind(StrEnum):
    """How an outcome is kept: what happens to a repeat under the same command id."""

    ACCEPTED = "accepted"  # its facts are in the ledger; a repeat gets the same answer
    FINAL = "final"  # a refusal that is a fact on its ledger and sticks
    UNRECORDED = "unrecorded"  # a refusal that leaves no fact; over Kafka it goes to the dead letters
    TRANSIENT = "transient"  # never recorded; the same command may be sent again


@final
class Outcome(StrEnum):
    """What a command came to; the text behind each member is its documentation."""

    MALFORMED = "malformed"
    TOO_LARGE = "too_large"
    UNKNOWN_COMMAND = "unknown_command"
    BAD_COMMAND_ID = "bad_command_id"
    BAD_LEDGER_ID = "bad_ledger_id"
    WRONG_KEY = "wrong_key"
    BAD_AMOUNT = "bad_amount"
    UNKNOWN_CURRENCY = "unknown_currency"
    NOT_OWNER = "not_owner"
    WARMING_UP = "warming_up"
    OVERLOADED = "overloaded"
    TIMEOUT = "timeout"
    ID_REUSED = "id_reused"
    UNKNOWN_ENTITY = "unknown_entity"
    ENTITY_EXISTS = "entity_exists"
    VERSION_CONFLICT = "version_conflict"
    ENTITY_NOT_ACTIVE = "entity_not_active"
    BAD_TRANSITION = "bad_transition"
    TIMESTAMP_OUT_OF_BOUNDS = "timestamp_out_of_bounds"
    ENTITY_TOO_LARGE = "entity_too_large"
    RESERVED_FACT_TYPE = "reserved_fact_type"
    MISSING_AMOUNT = "missing_amount"
    BAD_CONFIG = "bad_config"
    CONFIG_LOOSENS = "config_loosens"
    UNKNOWN_CONFIG_VERSION = "unknown_config_version"
    ACCESS_DENIED = "access_denied"
    GRANT_NOT_FOUND = "grant_not_found"
    TOO_MANY_GRANTS = "too_many_grants"
    CHARGE_NOT_OPEN = "charge_not_open"
    SOURCE_MISSING = "source_missing"
    SOURCE_INVALID = "source_invalid"
    SOURCE_LATER = "source_later"
    TOO_MANY_CHARGES = "too_many_charges"
    RESERVATION_NOT_OPEN = "reservation_not_open"
    RESERVATION_EXISTS = "reservation_exists"
    CONFIRM_ABOVE_HOLD = "confirm_above_hold"
    TOO_MANY_HOLDS = "too_many_holds"
    AMOUNT_OVERFLOW = "amount_overflow"
    CAP_EXHAUSTED = "cap_exhausted"
    BUDGET_EXHAUSTED = "budget_exhausted"
    UNPRICED = "unpriced"
    PRICE_OUT_OF_BOUNDS = "price_out_of_bounds"
    INVARIANT_BROKEN = "invariant_broken"
    ACCEPTED = "accepted"


def kind(outcome: Outcome) -> Kind:
    """How an outcome is kept."""
    match outcome:
        case Outcome.ACCEPTED:
            return Kind.ACCEPTED
        case Outcome.NOT_OWNER | Outcome.WARMING_UP | Outcome.OVERLOADED | Outcome.TIMEOUT:
            return Kind.TRANSIENT
        case (
            Outcome.MALFORMED
            | Outcome.TOO_LARGE
            | Outcome.UNKNOWN_COMMAND
            | Outcome.BAD_COMMAND_ID
            | Outcome.BAD_LEDGER_ID
            | Outcome.WRONG_KEY
            | Outcome.BAD_AMOUNT
            | Outcome.UNKNOWN_CURRENCY
            | Outcome.ID_REUSED
            | Outcome.UNKNOWN_ENTITY
        ):
            return Kind.UNRECORDED
        case (
            Outcome.ENTITY_EXISTS
            | Outcome.VERSION_CONFLICT
            | Outcome.ENTITY_NOT_ACTIVE
            | Outcome.ENTITY_TOO_LARGE
            | Outcome.BAD_TRANSITION
            | Outcome.TIMESTAMP_OUT_OF_BOUNDS
            | Outcome.RESERVED_FACT_TYPE
            | Outcome.MISSING_AMOUNT
            | Outcome.RESERVATION_NOT_OPEN
            | Outcome.RESERVATION_EXISTS
            | Outcome.CONFIRM_ABOVE_HOLD
            | Outcome.TOO_MANY_HOLDS
            | Outcome.AMOUNT_OVERFLOW
            | Outcome.BUDGET_EXHAUSTED
            | Outcome.BAD_CONFIG
            | Outcome.CONFIG_LOOSENS
            | Outcome.UNKNOWN_CONFIG_VERSION
            | Outcome.ACCESS_DENIED
            | Outcome.GRANT_NOT_FOUND
            | Outcome.TOO_MANY_GRANTS
            | Outcome.CHARGE_NOT_OPEN
            | Outcome.TOO_MANY_CHARGES
            | Outcome.SOURCE_MISSING
            | Outcome.SOURCE_INVALID
            | Outcome.SOURCE_LATER
            | Outcome.CAP_EXHAUSTED
            | Outcome.UNPRICED
            | Outcome.PRICE_OUT_OF_BOUNDS
            | Outcome.INVARIANT_BROKEN
        ):
            return Kind.FINAL
        case _:
            assert_never(outcome)


def is_transient(outcome: Outcome) -> bool:
    """Whether the same command may be sent again and come to something else."""
    return kind(outcome) is Kind.TRANSIENT


MEANINGS: dict[Outcome, str] = {
    Outcome.MALFORMED: "The bytes are not a command: not JSON, nested too deep, a field of the wrong type, unknown or missing.",
    Outcome.TOO_LARGE: "The command is larger than one record may be.",
    Outcome.UNKNOWN_COMMAND: "`op` names no command.",
    Outcome.BAD_COMMAND_ID: "`id` is not 1 to 200 visible ASCII characters.",
    Outcome.BAD_LEDGER_ID: "`ledger_id` is not a namespace followed by an entity id of that type, such as `account_acct_123`.",
    Outcome.WRONG_KEY: "The key of the Kafka record is not the command's `ledger_id`.",
    Outcome.BAD_AMOUNT: "An amount is no plain decimal string above zero with at most 12 decimals and 26 digits before them.",
    Outcome.UNKNOWN_CURRENCY: "`currency` is not an active ISO 4217 code.",
    Outcome.NOT_OWNER: "The worker that was asked does not own the partition (any more); the client asks the next owner.",
    Outcome.WARMING_UP: "The owner is still reading its log and cannot yet judge repeats.",
    Outcome.OVERLOADED: "The owner's queue is full; send again after a pause.",
    Outcome.TIMEOUT: "No answer within the deadline. It may have been decided: the same id is safe and gives the first outcome.",
    Outcome.ID_REUSED: "The command id was used before on this ledger with another body.",
    Outcome.UNKNOWN_ENTITY: "The tenant has no such entity. Another tenant's entity answers the same.",
    Outcome.ENTITY_EXISTS: "The entity exists already.",
    Outcome.VERSION_CONFLICT: "The entity's version is not `expected_version`.",
    Outcome.ENTITY_NOT_ACTIVE: "The entity's lifecycle status takes no such facts any more.",
    Outcome.BAD_TRANSITION: "The lifecycle has no arrow from the present status to the one asked for.",
    Outcome.TIMESTAMP_OUT_OF_BOUNDS: "`timestamp` is more than 366 days before or 24 hours after the batch's time.",
    Outcome.ENTITY_TOO_LARGE: "With this update the entity's `data` would be larger than 256 KiB.",
    Outcome.RESERVED_FACT_TYPE: "Facts of this type are written by their own command only.",
    Outcome.MISSING_AMOUNT: "A fact of this type needs `amount` and `currency`.",
    Outcome.BAD_CONFIG: "Settings, scope, target or time of a config are not possible, or its versions too many.",
    Outcome.CONFIG_LOOSENS: "The settings would loosen what a wider scope says; a narrower scope may only tighten.",
    Outcome.UNKNOWN_CONFIG_VERSION: "`config_version` is no version of `config_id` that the ledger's owner has.",
    Outcome.ACCESS_DENIED: "An access config is in force and `user_id` has no role on this entity that may do this.",
    Outcome.GRANT_NOT_FOUND: "The user has no role on this entity.",
    Outcome.TOO_MANY_GRANTS: "The entity has as many users with a role as one entity may have.",
    Outcome.CHARGE_NOT_OPEN: "There is no incurred charge of that id that is not settled, or it has reached that stage already.",
    Outcome.SOURCE_MISSING: "A charge names the outcome, and a cost the invocation that caused it, in `source_id`.",
    Outcome.SOURCE_INVALID: "The fact in `source_id` does not exist, is of the wrong type, or its proof does not fit.",
    Outcome.SOURCE_LATER: "The charge is earlier than the outcome that it names.",
    Outcome.TOO_MANY_CHARGES: "The ledger has as many unsettled charges as one ledger may have.",
    Outcome.RESERVATION_NOT_OPEN: "No such reservation is open; `detail` says what became of it, over HTTP however long ago.",
    Outcome.RESERVATION_EXISTS: "An open reservation of that id exists.",
    Outcome.CONFIRM_ABOVE_HOLD: "The amount to confirm is more than the reservation holds.",
    Outcome.TOO_MANY_HOLDS: "The ledger has as many open reservations as one ledger may have.",
    Outcome.AMOUNT_OVERFLOW: "The sum would not fit 26 digits before the point.",
    Outcome.CAP_EXHAUSTED: "A cap is reached; `detail` names it. With a new id again, once its window begins anew.",
    Outcome.BUDGET_EXHAUSTED: "The amount is more than what is available in that currency.",
    Outcome.UNPRICED: "No pricing config has a price for a meter in `usage`.",
    Outcome.PRICE_OUT_OF_BOUNDS: "The amount is outside the bounds of the pricing config.",
    Outcome.INVARIANT_BROKEN: "The fact breaks an invariant of the tenant; `detail` names it.",
    Outcome.ACCEPTED: "Done: its facts are durable.",
}
