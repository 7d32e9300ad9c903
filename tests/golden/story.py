"""
The story whose bytes are pinned, and the writing of the golden files.

    python -m tests.golden.story      writes what is missing; it never changes what is there

Fields are only ever added. A new kind of fact or a new command gets a line in the story, at its END, so that the bytes of
the others stay; then run the line above and commit the file. If a golden file would have to CHANGE, the wire format has
changed: facts written yesterday could not be read or proved tomorrow. Change the code instead.
"""

import json
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Raw

from tests.unit.test_log_world import LEDGER, TENANT, Bench
from z0.codec import encode_command
from z0.domain.commands import (
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
    Read,
    Release,
    Reserve,
    RevokeAccess,
    Settle,
    UpdateEntity,
)
from z0.domain.entity import Changes
from z0.domain.facts import ConfigType, Scope, Source
from z0.log.inbox import KafkaCommand

FOLDER = Path(__file__).parent
_base: dict[str, Any] = {"tenant_id": TENANT, "ledger_id": LEDGER}

COMMANDS: dict[str, Command] = {
    "create_entity": CreateEntity(id="c1", subtype="shop", owner_id="user_1", data=Raw(b'{"name": "Z\xc3\xbcrich"}'), **_base),
    "add_budget": AddBudget(id="c2", amount="100.50", currency="USD", **_base),
    "add_budget credit": AddBudget(id="c3", amount="5", currency="USD", kind="credit", **_base),
    "deduct_budget": DeductBudget(id="c4", amount="0.000000000001", currency="USD", user_id="user_1", **_base),
    "reserve": Reserve(id="c5", amount="10", currency="USD", reservation_id="r1", ttl_ms=60_000, workflow_id="wf_1", **_base),
    "confirm": Confirm(id="c6", reservation_id="r1", amount="7.5", reply_to="workflow_wf_1", **_base),
    "reserve by default": Reserve(id="c7", amount="3", currency="USD", **_base),
    "release": Release(id="c7r", reservation_id="c7", **_base),
    "append": Append(id="c8", type="outcome", subtype="sale", amount="12", currency="EUR", timestamp=1_799_999_999_000, **_base),
    "append charge": Append(
        id="c9", type="charge", amount="2", currency="USD", source_id=f"{LEDGER}.9", config_version=3, **_base
    ),
    "update_entity": UpdateEntity(id="c10", changes=Changes(owner_id=None, data={"name": None}), expected_version=1, **_base),
    "refused": DeductBudget(id="c11", amount="5000", currency="USD", trace_id="t1", **_base),
    "reserve to expire": Reserve(id="c12", amount="1", currency="USD", ttl_ms=1, **_base),
    "read": Read(id="c13", **_base),
}

# What came later runs after the command by Kafka, and its facts are pinned under their command's name.
LATER: dict[str, Command] = {
    "check": Check(id="c14", amount="3", currency="USD", **_base),
    "authorize": Authorize(id="c15", amount="3", currency="USD", ttl_ms=3_600_000, **_base),
    "authorize a place": Authorize(id="c16", **_base),
    "late confirm": Confirm(id="c17", reservation_id="r1", **_base),
    "charge incurred": Append(
        id="c18", type="charge", subtype="incurred", amount="1", currency="USD", source_id=f"{LEDGER}.9", **_base
    ),
    "settle": Settle(id="c19", charge_id=f"{LEDGER}.19", stage="pending", **_base),
    "settle at last": Settle(id="c20", charge_id=f"{LEDGER}.19", stage="settled", **_base),
    "cost by proof": Append(
        id="c21",
        type="cost",
        amount="0",
        currency="USD",
        source_id="asset_asset_1.7",
        source=Source("asset_asset_1.7", "asset_asset_1", 7, "ab" * 32),
        **_base,
    ),
    "add_budget transfer": AddBudget(id="c22", amount="1", currency="USD", kind="transfer", **_base),
    "reserve a transfer": Reserve(id="c23", amount="2", currency="USD", purpose="transfer", **_base),
    "confirm a transfer": Confirm(id="c24", reservation_id="c23", **_base),
    "grant_access": GrantAccess(id="c25", grantee_id="user_1", role="buyer", **_base),
    "modify access": GrantAccess(id="c26", grantee_id="user_1", role="owner", **_base),
    "revoke_access": RevokeAccess(id="c27", grantee_id="user_1", **_base),
    "put_config": PutConfig(
        id="c28",
        tenant_id=TENANT,
        ledger_id="config_cfg_1",
        type=ConfigType.BUDGET,
        scope=Scope.TENANT,
        settings=Raw(b'{"overdraft": {"USD": "5"}}'),
    ),
}


def story(bench: Bench | None = None) -> dict[str, dict[str, str]]:
    """File name -> entry -> the bytes. A bench that is handed in has the story's log afterwards."""
    bench = bench if bench is not None else Bench()
    answers: dict[str, str] = {}
    facts: dict[str, str] = {"claim": bench.records[0].value.decode()}
    for name, command in COMMANDS.items():
        if name == "read":
            bench.now += 1_000
        before = len(bench.records)
        answers[name] = _answer(bench, command)
        facts |= {_kind(record.value): record.value.decode() for record in bench.records[before:]}
    by_kafka = msgspec.structs.replace(COMMANDS["deduct_budget"], id="k1")
    bench.kafka(KafkaCommand(7, LEDGER.encode(), encode_command(by_kafka)))
    facts["by kafka"] = bench.records[-1].value.decode()
    for name, command in LATER.items():
        before = len(bench.records)
        answers[name] = _answer(bench, command)
        facts |= {f"{name}: {_kind(record.value)}": record.value.decode() for record in bench.records[before:]}
    commands = {name: encode_command(command).decode() for name, command in (COMMANDS | LATER).items()}
    return {"facts.json": facts, "commands.json": commands, "answers.json": answers}


def _answer(bench: Bench, command: Command) -> str:
    return msgspec.json.encode(msgspec.structs.replace(bench.one(command), state=b"")).decode()


def _kind(value: bytes) -> str:
    fact = json.loads(value)
    return f"{fact['type']}/{fact['subtype']}" if "subtype" in fact else str(fact["type"])


def write() -> None:
    """Add what is missing."""
    for name, entries in story().items():
        path = FOLDER / name
        there = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps(entries | there, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    write()
