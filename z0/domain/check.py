"""
Checks of a command that need no state. Owns: which outcome a badly formed command gets, in the outcome's precedence.

A command that fails here leaves no fact: there may be no ledger to put it on. What passes can be folded and stored: what
reaches a ledger's state is bounded here.
"""

import re
from collections.abc import Callable
from typing import Any, Final, final

import msgspec
from mypy_extensions import mypyc_attr

from z0.domain.commands import (
    TTL_MS_MAX,
    AddBudget,
    Append,
    Authorize,
    Check,
    Command,
    Confirm,
    CreateEntity,
    DeductBudget,
    GrantAccess,
    PutConfig,
    Reserve,
    RevokeAccess,
    Settle,
)
from z0.domain.facts import NO_DATA
from z0.domain.ids import EntityType, entity_type, is_command_id, parse_fact_id, parse_ledger_id
from z0.domain.money import AMOUNT_CHARS_MAX, CURRENCIES, parse_amount
from z0.domain.outcome import Outcome


@final
@mypyc_attr(acyclic=True, free_list_len=1)
class Checked:
    """What the checks found: an outcome where one failed, and the units of the command's amount where it has one."""

    def __init__(self, outcome: Outcome | None, units: int | None) -> None:
        self.outcome: Final = outcome
        self.units: Final = units


_PASSED_WITHOUT_AMOUNT: Final = Checked(None, None)
# Sets of exact classes: asking a set costs a tenth of `isinstance` with several, and this is asked for every command.
_WITH_AMOUNT: Final = frozenset({Reserve, Authorize, Confirm, AddBudget, DeductBudget, Append, Check})
_ZERO_ALLOWED: Final = frozenset({Append, Confirm, Check})
_PRICED: Final = frozenset({Authorize, Check})
METERS_MAX: Final = 32  # in one usage: a decision multiplies each
QUANTITY_DIGITS_MAX: Final = 18  # times a price of 38 digits is exact in the one context that multiplies
NAME_CHARS_MAX: Final = 200  # a config's name is a line for people
_NUL_ESCAPED = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")  # not: an escaped backslash before `u0000`
_object_decoder = msgspec.json.Decoder(dict[str, Any])


def check_form(command: Command) -> Checked:
    """Check payload, ids, amount and currency."""
    if _is_malformed(command):
        return Checked(Outcome.MALFORMED, None)
    if not is_command_id(command.id):
        return Checked(Outcome.BAD_COMMAND_ID, None)
    if command.reply_to is not None and parse_ledger_id(command.reply_to) is None:
        return Checked(Outcome.BAD_LEDGER_ID, None)
    checked = _check_amount(command) if type(command) in _WITH_AMOUNT else _PASSED_WITHOUT_AMOUNT
    # `ledger_id` itself is checked where its state is missing: most ledgers are known, and the check takes a microsecond.
    if checked.outcome is not None and parse_ledger_id(command.ledger_id) is None:
        return Checked(Outcome.BAD_LEDGER_ID, None)
    return checked


def _is_malformed(command: Command) -> bool:
    """Payload and ids that a ledger would keep in its state."""
    if command.data is not NO_DATA and not _is_object(command):
        return True
    if command.workflow_id is not None and not is_command_id(command.workflow_id):
        return True
    rule = _FORMS.get(type(command))
    return rule(command) if rule is not None else False


def _is_malformed_creation(command: CreateEntity) -> bool:
    return entity_type(command.tenant_id) is not EntityType.TENANT


def _is_malformed_config(command: PutConfig) -> bool:
    ref = parse_ledger_id(command.ledger_id)
    if ref is None or ref.type is not EntityType.CONFIG or entity_type(command.tenant_id) is not EntityType.TENANT:
        return True
    settings, name = bytes(command.settings), command.name or ""
    # A config is asked for by moment where stores keep it as JSON, and some cannot hold U+0000 in it.
    if "\0" in name or _NUL_ESCAPED.search(settings) is not None:
        return True
    return settings[:1] != b"{" or len(name) > NAME_CHARS_MAX


def _is_malformed_grant(command: GrantAccess | RevokeAccess) -> bool:
    return entity_type(command.grantee_id) is not EntityType.USER


def _is_malformed_stage(command: Settle) -> bool:
    return parse_fact_id(command.charge_id) is None


def _is_malformed_check(command: Check | Authorize) -> bool:
    if command.usage is not None:
        return command.amount is not None or not 0 < len(command.usage) <= METERS_MAX
    return command.amount is not None and command.currency is None


def _is_malformed_authorize(command: Authorize) -> bool:
    if command.currency is not None and command.amount is None and command.usage is None:
        return True
    return _is_malformed_check(command) or _is_malformed_hold(command)


def _is_malformed_hold(command: Reserve | Authorize) -> bool:
    if command.reservation_id is not None and not is_command_id(command.reservation_id):
        return True
    return command.ttl_ms is not None and not 0 < command.ttl_ms <= TTL_MS_MAX


def _is_object(command: Command) -> bool:
    if bytes(command.data)[:1] != b"{":
        return False
    if not isinstance(command, CreateEntity | PutConfig):
        return True
    try:  # an entity's data is decoded when it is folded; valid JSON may still hold a number that no decoder takes
        _object_decoder.decode(command.data)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


# Any: each rule takes its own command class; the key says which.
_FORMS: Final[dict[type[Command], Callable[[Any], bool]]] = {
    CreateEntity: _is_malformed_creation,
    PutConfig: _is_malformed_config,
    GrantAccess: _is_malformed_grant,
    RevokeAccess: _is_malformed_grant,
    Settle: _is_malformed_stage,
    Check: _is_malformed_check,
    Authorize: _is_malformed_authorize,
    Reserve: _is_malformed_hold,
}


def _is_quantity(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= QUANTITY_DIGITS_MAX


def _check_amount(command: Any) -> Checked:
    """Of one of `_WITH_AMOUNT`."""
    units, kind = None, type(command)
    if kind in _PRICED and command.usage is not None and not all(map(_is_quantity, command.usage.values())):
        return Checked(Outcome.BAD_AMOUNT, None)
    if command.amount is not None:
        # What is too long for an amount is not handed on: the texts that were read are remembered.
        units = parse_amount(command.amount) if len(command.amount) <= AMOUNT_CHARS_MAX else None
        # A zero cost is worth recording ("every action has a cost, explicitly zero if free"); a zero hold or deposit is not.
        if units is None or (units == 0 and kind not in _ZERO_ALLOWED):
            return Checked(Outcome.BAD_AMOUNT, None)
    currency = None if kind is Confirm else command.currency
    if currency is not None and currency not in CURRENCIES:
        return Checked(Outcome.UNKNOWN_CURRENCY, None)
    return Checked(None, units)
