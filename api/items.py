"""
Commands as JSON: the documented form without `tenant_id`. Owns: how such an object becomes a command of the caller's tenant.

`POST /v1/commands` and its batch share this path, so that both refuse the same things. It costs a few microseconds per command
and ends in `z0.codec.decode_command`, which the Kafka door uses too: one meaning of the JSON on every way in.
"""

from typing import Final, NoReturn

import msgspec
from msgspec import Raw

from api.errors import FieldError, Problem
from z0.codec import decode_command
from z0.domain.commands import COMMAND_BYTES_MAX, Command, CreateEntity
from z0.domain.facts import NO_DATA
from z0.domain.ids import ledger_id, parse_ledger_id
from z0.domain.outcome import Outcome

COMMANDS_MAX: Final = 1_000  # a fiftieth of a second of deciding; more bring no higher rate
TENANT_IN_BODY: Final = "`tenant_id` is not accepted: the tenant comes from the API key."


class _Batch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    commands: list[Raw]


_encode = msgspec.json.Encoder().encode
_batch_decoder = msgspec.json.Decoder(_Batch)
_fields_decoder = msgspec.json.Decoder(dict[str, Raw])
_text_decoder = msgspec.json.Decoder(str)
_any_decoder = msgspec.json.Decoder()
_command_decoder: msgspec.json.Decoder[Command] = msgspec.json.Decoder(Command)
_NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def split_batch(body: bytes) -> list[Raw]:
    """
    The items of a batch, each still as bytes.

    Raises:
        Problem: the body is not `{"commands": [...]}`.
    """
    check_utf8(body)
    try:
        return _batch_decoder.decode(body).commands
    except _NOT_JSON as error:
        raise Problem(Outcome.MALFORMED, errors=[field_error(error)]) from None


def check_utf8(body: bytes) -> None:
    """
    Refuse bytes that are not UTF-8: payloads are passed on unread, and a fact must stay readable JSON for everybody.

    Raises:
        Problem: they are not.
    """
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise Problem(Outcome.MALFORMED, errors=[FieldError([error.start], "not UTF-8")]) from None


def command_id_in(raw: bytes) -> str | None:
    """The id that an item gives itself, or None; what else is wrong with the item is found later."""
    try:
        return _text_decoder.decode(_fields_decoder.decode(raw)["id"])
    except (KeyError, *_NOT_JSON):
        return None


def parse_item(raw: bytes, tenant_id: str, default_id: str) -> Command:
    """
    The command that a JSON object is for this tenant; it has `default_id` where it gives no id itself.

    Raises:
        Problem: it is none.
    """
    if len(raw) > COMMAND_BYTES_MAX:
        raise Problem(Outcome.TOO_LARGE)
    try:
        fields = _fields_decoder.decode(raw)
    except _NOT_JSON as error:
        raise Problem(Outcome.MALFORMED, errors=[field_error(error)]) from None
    if "tenant_id" in fields:
        raise Problem(Outcome.MALFORMED, TENANT_IN_BODY, errors=[FieldError(["tenant_id"], "not accepted")])
    fields["tenant_id"] = Raw(_encode(tenant_id))
    fields.setdefault("id", Raw(_encode(default_id)))
    _address(fields)
    return _decode(_encode(fields))


def _address(fields: dict[str, Raw]) -> None:
    """Turn `entity_id` into `ledger_id`; the two must agree where both are given."""
    given = fields.pop("entity_id", None)
    if given is None:
        return
    try:
        ledger = ledger_id(_text_decoder.decode(given))
    except _NOT_JSON as error:
        raise Problem(Outcome.MALFORMED, errors=[FieldError(["entity_id"], str(error))]) from None
    except ValueError as error:
        raise Problem(Outcome.BAD_LEDGER_ID, errors=[FieldError(["entity_id"], str(error))]) from None
    encoded = Raw(_encode(ledger))
    if bytes(fields.setdefault("ledger_id", encoded)) != bytes(encoded):
        raise Problem(Outcome.BAD_LEDGER_ID, "`entity_id` and `ledger_id` name two different ledgers.")


def _decode(canonical: bytes) -> Command:
    command = decode_command(canonical)
    if isinstance(command, Outcome):
        _explain(canonical, command)
    return checked(command)


def checked(command: Command) -> Command:
    """
    The command, after the checks that the ledger relies on.

    Raises:
        Problem: the ledger id is none, the payload cannot be kept, or all is larger than a command may be.
    """
    if parse_ledger_id(command.ledger_id) is None:
        raise Problem(Outcome.BAD_LEDGER_ID)
    if isinstance(command, CreateEntity) and command.data is not NO_DATA:
        check_payload(command.data)
    return command


def check_payload(data: bytes | Raw) -> None:
    """
    Refuse a payload with a value that no reader can hold, such as 1e400: an entity's data are kept as values.

    Raises:
        Problem: there is one.
    """
    try:
        _any_decoder.decode(data)
    except _NOT_JSON as error:
        raise Problem(Outcome.MALFORMED, errors=[FieldError(["data"], str(error))]) from None


def _explain(canonical: bytes, outcome: Outcome) -> NoReturn:
    """Decode again for the message that `decode_command` does not pass on; only refused commands pay for it."""
    try:
        _command_decoder.decode(canonical)
    except _NOT_JSON as error:
        raise Problem(outcome, errors=[field_error(error)]) from None
    raise Problem(outcome)


def field_error(error: Exception) -> FieldError:
    """msgspec's message as a place and a text: ``Expected `str`, got `int` - at `$.amount` ``."""
    text, at, path = str(error).partition(" - at `$")
    places: list[str | int] = [part for part in path.rstrip("`").replace("[", ".").replace("]", "").split(".") if part]
    return FieldError(places if at else [], text)
