"""
Checks of a command that need no state. Owns: which outcome a badly formed command gets, in the outcome's precedence.

A command that fails here leaves no fact: there may be no ledger to put it on.
"""

from typing import NamedTuple

from z0.domain.commands import TTL_MS_MAX, Append, Command, Confirm, Reserve
from z0.domain.facts import NO_DATA
from z0.domain.ids import is_command_id, parse_ledger_id
from z0.domain.money import CURRENCIES, parse_amount
from z0.domain.outcome import Outcome


class Checked(NamedTuple):
    """What the checks found: an outcome where one failed, and the units of the command's amount where it has one."""

    outcome: Outcome | None
    units: int | None


_PASSED_WITHOUT_AMOUNT = Checked(None, None)


def check_form(command: Command) -> Checked:
    """Check ids, payload, amount and currency."""
    if not is_command_id(command.id):
        return Checked(Outcome.BAD_COMMAND_ID, None)
    if command.data is not NO_DATA and bytes(command.data)[:1] != b"{":
        return Checked(Outcome.MALFORMED, None)
    if isinstance(command, Reserve) and command.ttl_ms is not None and not 0 < command.ttl_ms <= TTL_MS_MAX:
        return Checked(Outcome.MALFORMED, None)
    if command.reply_to is not None and parse_ledger_id(command.reply_to) is None:
        return Checked(Outcome.BAD_LEDGER_ID, None)
    return _check_amount(command)


def _check_amount(command: Command) -> Checked:
    text: str | None = getattr(command, "amount", None)
    currency: str | None = getattr(command, "currency", None)
    units = None
    if text is not None:
        units = parse_amount(text)
        # A zero cost is worth recording ("every action has a cost, explicitly zero if free"); a zero hold or deposit is not.
        if units is None or (units == 0 and not isinstance(command, Append | Confirm)):
            return Checked(Outcome.BAD_AMOUNT, None)
    if currency is not None and currency not in CURRENCIES:
        return Checked(Outcome.UNKNOWN_CURRENCY, None)
    return Checked(None, units) if units is not None else _PASSED_WITHOUT_AMOUNT
