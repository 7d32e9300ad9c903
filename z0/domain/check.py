"""
Checks of a command that need no state. Owns: which outcome a badly formed command gets, in the outcome's precedence.

A command that fails here leaves no fact: there may be no ledger to put it on.
"""

from typing import Final, NamedTuple

from z0.domain.commands import TTL_MS_MAX, AddBudget, Append, Command, Confirm, DeductBudget, Reserve
from z0.domain.facts import NO_DATA
from z0.domain.ids import is_command_id, parse_ledger_id
from z0.domain.money import CURRENCIES, parse_amount
from z0.domain.outcome import Outcome


class Checked(NamedTuple):
    """What the checks found: an outcome where one failed, and the units of the command's amount where it has one."""

    outcome: Outcome | None
    units: int | None


_PASSED_WITHOUT_AMOUNT: Final = Checked(None, None)
_WITH_AMOUNT: Final = (Reserve, Confirm, AddBudget, DeductBudget, Append)
_ZERO_ALLOWED: Final = (Append, Confirm)


def check_form(command: Command) -> Checked:
    """Check ids, payload, amount and currency."""
    if not is_command_id(command.id):
        return Checked(Outcome.BAD_COMMAND_ID, None)
    if command.data is not NO_DATA and bytes(command.data)[:1] != b"{":
        return Checked(Outcome.MALFORMED, None)
    if command.reply_to is not None and parse_ledger_id(command.reply_to) is None:
        return Checked(Outcome.BAD_LEDGER_ID, None)
    if isinstance(command, Reserve) and command.ttl_ms is not None and not 0 < command.ttl_ms <= TTL_MS_MAX:
        return Checked(Outcome.MALFORMED, None)
    return _check_amount(command) if isinstance(command, _WITH_AMOUNT) else _PASSED_WITHOUT_AMOUNT


def _check_amount(command: Reserve | Confirm | AddBudget | DeductBudget | Append) -> Checked:
    units = None
    if command.amount is not None:
        units = parse_amount(command.amount)
        # A zero cost is worth recording ("every action has a cost, explicitly zero if free"); a zero hold or deposit is not.
        if units is None or (units == 0 and not isinstance(command, _ZERO_ALLOWED)):
            return Checked(Outcome.BAD_AMOUNT, None)
    currency = None if isinstance(command, Confirm) else command.currency
    if currency is not None and currency not in CURRENCIES:
        return Checked(Outcome.UNKNOWN_CURRENCY, None)
    return Checked(None, units)
