"""
The receipt: what is shown of a decision. Owns: its fields (only ever added), and putting them together.

Does not own: deciding again (`again`), nor how a person is shown it (`z0.cli.explain`).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from z0.codec import encode_command, hash_of
from z0.configs.book import Book
from z0.domain.answer import BudgetView, LimitView
from z0.domain.change import change_of
from z0.domain.config import ConfigVersion, VersionShown, shown, version_of_fact
from z0.domain.draft import NO_BUDGET
from z0.domain.eligibility import limit_view
from z0.domain.facts import FactType, Reference, StoredFact
from z0.domain.fold import apply
from z0.domain.payloads import RefusedData
from z0.domain.policy import Policy
from z0.domain.state import LedgerState
from z0.domain.views import budget_view
from z0.receipts.again import RULES, Again, Known, decide_again
from z0.receipts.ports import Stored
from z0.receipts.replay import FORGED, Chain, Replay

EXPIRY: Final = "expiry"
_refused = msgspec.json.Decoder(RefusedData).decode


class Where(Struct, frozen=True):
    """Position in the log: the fact's partition and offset, and the claim that it was written under."""

    partition: int
    offset: int
    epoch: int


class ConfigUsed(VersionShown, frozen=True, kw_only=True):
    """A version of a config that the decision looked at, and the fact that wrote it."""

    fact_id: str
    intact: bool  # whether that fact's bytes are what its hash says


class Side(Struct, frozen=True):
    """The entity before or after: what the decision could change. `balance` is of the decision's currency."""

    seq: int
    status: str | None
    version: int | None
    balance: BudgetView | None
    reservations_open: int
    limits: list[LimitView]


class Difference(Struct, frozen=True):
    """A member of the fact that came out otherwise; null: it is not there."""

    member: str
    recorded: Any
    recomputed: Any


class Receipt(Struct, frozen=True, kw_only=True):
    """
    One decision: what was asked, by which rules and configs, what it came to, and whether it comes to the same again.

    `bytes_equal` null: it could not be decided again, `why` says what is missing. `digest_matches` false: the command could be
    rebuilt up to its spelling only; null: no command asked for this fact.
    """

    id: str
    ledger_id: str
    tenant_id: str
    command_id: str | None
    outcome: str | None  # null: no command asked for it
    rule: str | None  # the rule that said no; `expiry` of expired reservations
    detail: str | None
    recorded_at: int
    rules: int
    configs: list[ConfigUsed]
    command: Raw | None  # as it was given, or as it was rebuilt from the fact
    digest: str | None
    digest_matches: bool | None
    before: Side | None
    after: Side | None
    bytes_equal: bool | None
    why: str | None
    differences: list[Difference]
    taken_from_record: list[str]
    chain: Chain
    position: Where
    read_from: str
    fact: Raw

    @property
    def proves(self) -> bool:
        """Whether everything that can be checked is as it should be."""
        return bool(self.bytes_equal) and self.chain.holds and self.chain.followed is not False and self._configs_intact

    @property
    def _configs_intact(self) -> bool:
        return all(config.intact for config in self.configs)


class Found(Struct, frozen=True):
    """What was read for a receipt: the decision, its configs' facts, and the fact of another ledger that it may ask for."""

    stored: Stored
    configs: Sequence[Stored]
    named: Mapping[str, int]  # config id -> version, as the decision names them
    read_from: str
    elsewhere: Stored | None = None


def receipt_of(replay: Replay, found: Found) -> Receipt:
    """The receipt. The replay has looked at the decision's fact, folded those before it, and is used up."""
    fact, state = found.stored.fact, replay.state
    versions = [version_of_fact(stored.fact.data) for stored in found.configs]
    policy = _policy(versions, found.named)
    why = _hindrance(fact, replay, policy)
    known = _known(policy, replay, found)
    before = _side(state, fact, known.policy) if replay.unfolded is None else None
    again = _again(state, found.stored, known) if why is None else None
    if why is None and again is None:
        why = f"no command that these rules take leaves such a fact of type {_kind(fact)}"
    after = _after(replay, found.stored, known.policy)
    return _put_together(found, replay.chain, again, why, before, after, versions)


def _again(state: LedgerState, stored: Stored, known: Known) -> Again | None:
    try:
        return decide_again(state, stored, known)
    except FORGED:
        return None


def _policy(versions: Sequence[ConfigVersion], named: Mapping[str, int]) -> Policy | None:
    book = Book()
    for version in versions:
        book.add(version)
    return book.at_versions(named)


def _known(policy: Policy | None, replay: Replay, found: Found) -> Known:
    other = found.elsewhere.fact if found.elsewhere is not None else None
    elsewhere = Reference(other.type, other.timestamp, other.hash) if other is not None else None
    return Known(policy if policy is not None else Policy(), replay.references, elsewhere)


def _hindrance(fact: StoredFact, replay: Replay, policy: Policy | None) -> str | None:
    if fact.rules not in RULES:
        have = ", ".join(map(str, sorted(RULES)))
        return f"it was decided by rules version {fact.rules}; this program has {have}: explain it with a newer release"
    if replay.unfolded is not None:
        return replay.unfolded
    if policy is None:
        return "the settings of a config that it looked at cannot be read by this program: explain it with a newer release"
    return None


def _side(state: LedgerState, fact: StoredFact, policy: Policy) -> Side:
    entity, currency = state.entity, fact.currency
    balance = budget_view(state.budgets.get(currency, NO_BUDGET)) if currency is not None else None
    limits = [
        limit_view(state, limit, fact.recorded_at)
        for limit in policy.limits
        if limit.currency is None or limit.currency == currency
    ]
    return Side(
        seq=state.seq,
        status=entity.status if entity is not None else None,
        version=entity.version if entity is not None else None,
        balance=balance,
        reservations_open=len(state.holds),
        limits=limits,
    )


def _after(replay: Replay, stored: Stored, policy: Policy) -> Side | None:
    """The state with the fact as it was recorded, whatever it should have been."""
    if replay.unfolded is not None:
        return None
    try:
        apply(replay.state, change_of(stored.fact), stored.fact.hash)
    except FORGED:
        return None
    return _side(replay.state, stored.fact, policy)


def _put_together(
    found: Found,
    chain: Chain,
    again: Again | None,
    why: str | None,
    before: Side | None,
    after: Side | None,
    versions: Sequence[ConfigVersion],
) -> Receipt:
    fact, value = found.stored.fact, found.stored.value
    refused = _refused(fact.data) if fact.type == FactType.DECISION else None
    rule = EXPIRY if (fact.type, fact.subtype) == (FactType.BUDGET, FactType.EXPIRED) else None
    command = again.command if again is not None else None
    return Receipt(
        id=fact.id,
        ledger_id=fact.ledger_id,
        tenant_id=fact.tenant_id,
        command_id=fact.command_id,
        outcome=fact.outcome,
        rule=refused.rule if refused is not None else rule,
        detail=refused.detail if refused is not None else None,
        recorded_at=fact.recorded_at,
        rules=fact.rules,
        configs=[_used(version, stored) for version, stored in zip(versions, found.configs, strict=True)],
        command=Raw(encode_command(command)) if command is not None else refused.request if refused is not None else None,
        digest=fact.digest,
        digest_matches=again.digest_matches if again is not None else None,
        before=before,
        after=after,
        bytes_equal=again.value == value if again is not None else None,
        why=why,
        differences=_differences(value, again.value) if again is not None else [],
        taken_from_record=list(again.taken) if again is not None else [],
        chain=chain,
        position=Where(found.stored.partition, fact.offset, fact.epoch),
        read_from=found.read_from,
        fact=Raw(value),
    )


def _used(version: ConfigVersion, stored: Stored) -> ConfigUsed:
    intact = hash_of(stored.value) == stored.fact.hash
    return ConfigUsed(**shown(version), fact_id=stored.fact.id, intact=intact)


def _differences(recorded: bytes, recomputed: bytes) -> list[Difference]:
    """Members that differ; the hash only where nothing else does: it follows from the rest."""
    if recorded == recomputed:
        return []
    there, again = (msgspec.json.decode(value) for value in (recorded, recomputed))
    names = [name for name in {**there, **again} if there.get(name) != again.get(name)]
    shown = [name for name in names if name != "hash"] or ["hash"]
    return [Difference(name, there.get(name), again.get(name)) for name in shown]


def _kind(fact: StoredFact) -> str:
    return f"{fact.type}/{fact.subtype}" if fact.subtype is not None else fact.type
