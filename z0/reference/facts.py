"""The page of facts. Owns: what each type of fact changes, in words; which of them move money is read from `z0.domain.deltas`."""

from typing import Final

import msgspec
from msgspec import Raw

from z0.domain.deltas import budget_delta
from z0.domain.facts import RESERVED_TYPES, RULES_VERSION, ZERO_HASH, Fact, FactType, StoredFact
from z0.domain.money import SCALE, format_amount
from z0.domain.state import SUMS
from z0.reference.text import page, table

INTRO: Final = f"""A fact is one JSON object, its type is `type`, or `type/subtype`. Facts are never changed and never
deleted; fields are only ever added. These are the types that the rules of version {RULES_VERSION} write. Any other type may be
appended by the command `append` and changes neither money nor metadata."""
Kind = tuple[str, str | None]
CHANGES: Final[dict[Kind, tuple[str, str]]] = {
    (FactType.LIFECYCLE, FactType.CREATED): ("`create_entity`", "The entity exists; `data.entity` is its metadata."),
    (FactType.LIFECYCLE, FactType.UPDATED): ("`update_entity`", "`data.changes` are made, the version goes up by one."),
    (FactType.DEPOSIT, None): ("`add_budget`", "Money came in."),
    (FactType.CREDIT_ISSUED, None): ("`add_budget` with `kind: credit`", "Credit was given."),
    (FactType.CHARGE, None): ("`append` with `type: charge`", "Spent at once; refused where it does not fit."),
    (FactType.CHARGE, FactType.INCURRED): ("`append` with this subtype", "Spent at once, and open until it is settled."),
    (FactType.CHARGE, FactType.PENDING): ("`settle`", "The charge in `source_id` is on its way; it was spent before."),
    (FactType.CHARGE, FactType.SETTLED): ("`settle`", "The charge in `source_id` is settled and no longer open."),
    (FactType.COST, None): ("`append`", "What an invocation cost; it changes no sum."),
    (FactType.BUDGET, FactType.TRANSFERRED_IN): ("`add_budget` with `kind: transfer`", "Money came from another ledger."),
    (FactType.BUDGET, FactType.TRANSFERRED_OUT): (
        "`confirm` of a transfer",
        "`amount` of what was `held` went to another ledger, the rest is free; it is closed.",
    ),
    (FactType.BUDGET, FactType.DEDUCTED): ("`deduct_budget`", "Spent at once."),
    (FactType.BUDGET, FactType.RESERVED): (
        "`reserve`, `authorize`",
        "The reservation `reservation_id` is open until `expires_at`.",
    ),
    (FactType.BUDGET, FactType.CONFIRMED): ("`confirm`", "`amount` of what was `held` is spent, the rest is free; it is closed."),
    (FactType.BUDGET, FactType.RELEASED): ("`release`", "The reservation is closed, nothing is spent."),
    (FactType.BUDGET, FactType.EXPIRED): ("none: its time came", "`data.reservations` (id to amount) are closed; at most 500."),
    (FactType.ACCESS_GRANTED, None): ("`grant_access`", "`data.user_id` has `data.role` on this entity."),
    (FactType.ACCESS_MODIFIED, None): ("`grant_access`", "The user has this role now, and no other."),
    (FactType.ACCESS_REVOKED, None): ("`revoke_access`", "`data.user_id` has no role any more."),
    (FactType.CONFIG, FactType.VERSIONED): ("`put_config`", "`data.config` is the next version of the config."),
    (FactType.DECISION, FactType.REFUSED): ("any", "Nothing. `data` has code, rule, request, balance before and after."),
}
ARITHMETIC: Final = """Per currency, always:

    remaining = deposited + credits + transferred_in - spent - transferred_out
    available = remaining - reserved

Each sum above is changed by the fact's `amount`, unless another field is named. A fact's `available` is what is left after it."""


def facts_page() -> str:
    """`facts.md`."""
    rows = [(_name(kind), by, _money(kind), what) for kind, (by, what) in CHANGES.items()]
    reserved = ", ".join(f"`{name}`" for name in sorted(RESERVED_TYPES))
    return page(
        "Facts",
        INTRO,
        table(("type", "written by", "sums", "what it says"), rows),
        f"Types that `append` may not write: {reserved}, `lifecycle/created`, `lifecycle/updated`.",
        "## Money",
        ARITHMETIC,
        "## Fields",
        "The order is the order on the wire. Fields that are not given are not written. Their meanings stand in "
        "[fact.schema.json](fact.schema.json).",
        table(
            ("field", "always"), [(f"`{f.encode_name}`", "yes" if f.required else "") for f in msgspec.structs.fields(StoredFact)]
        ),
    )


def _name(kind: Kind) -> str:
    return f"`{kind[0]}/{kind[1]}`" if kind[1] else f"`{kind[0]}`"


def _money(kind: Kind) -> str:
    """What the fact adds to which sum, found by asking the rule that the stores use with a fact of amount 1 that had held 3."""
    data = Raw(b'{"reservations":{"r":"1"}}')
    fact = Fact(
        "", "", 1, kind[0], 0, 0, "", "", 0, 0, ZERO_HASH, RULES_VERSION, kind[1], amount="1", currency="USD", held="3", data=data
    )
    delta = budget_delta(fact)
    if delta is None:
        return ""
    words = {SCALE: "+", -SCALE: "-", -3 * SCALE: "- `held`"}
    changes = [(name, getattr(delta, name)) for name in SUMS]
    return ", ".join(f"`{name}` {words.get(units, format_amount(units))}" for name, units in changes if units)
