"""
From an id to its receipt. Owns: what is read for it, in which order, and what is said where something is not there.
"""

from collections.abc import Mapping
from contextlib import aclosing
from typing import Final

from z0.configs.resolve import versions_in
from z0.domain.ids import parse_fact_id
from z0.domain.outcome import Outcome
from z0.errors import DecisionUnknown, FormatError, HistoryIncomplete
from z0.receipts.ports import History, Stored, Wanted
from z0.receipts.receipt import Found, Receipt, receipt_of
from z0.receipts.replay import FORGED, Chain, Replay

# Refusals that say what the fact in `source_id` is: of another ledger's it is read again.
_NAMES_ANOTHER: Final = frozenset({Outcome.SOURCE_INVALID, Outcome.SOURCE_LATER})


async def explain(history: History, wanted: Wanted) -> Receipt:
    """
    The receipt of a decision.

    Raises:
        DecisionUnknown: there is no such fact.
        HistoryIncomplete: a config that it looked at is not there (yet).
        FormatError: bytes that were stored are damaged so that they cannot be read.
    """
    seq = wanted.seq
    if seq is None:
        seq = await history.seq_of(wanted.ledger_id, str(wanted.command_id))
    replay = Replay()
    stored = await _replayed(history, replay, wanted.ledger_id, seq) if seq is not None else None
    if stored is None:
        leaves = "A read, a check, and a refusal that may be tried again leave none."
        raise DecisionUnknown(f"the {history.name} has no fact of {wanted}. {leaves} {history.behind}")
    try:
        return await _told(history, replay, stored)
    except FORGED as error:
        what = f"the stored bytes of {stored.fact.id}, or of a config that it names, are damaged ({error})"
        raise FormatError(f"{what}; {_said_of(replay.chain)}") from error


async def _told(history: History, replay: Replay, stored: Stored) -> Receipt:
    stored.value.decode()  # a payload is not looked into when a fact is read: bytes that are no text could not be shown
    named = versions_in(stored.fact.configs)
    configs = await _configs(history, named, stored)
    elsewhere = await _elsewhere(history, stored) if stored.fact.outcome in _NAMES_ANOTHER else None
    return receipt_of(replay, Found(stored, configs, named, history.name, elsewhere))


def _said_of(chain: Chain) -> str:
    return "the chain up to it holds" if chain.holds else f"the chain breaks at fact {chain.broken_at}: {chain.why}"


async def _replayed(history: History, replay: Replay, ledger_id: str, seq: int) -> Stored | None:
    """The fact of `seq`, when everything before it is folded; the one behind it is looked at where it is there."""
    target: Stored | None = None
    async with aclosing(history.facts(ledger_id)) as pieces:
        async for piece in pieces:
            for stored in piece:
                if target is not None:
                    replay.follow(stored)
                    return target
                if stored.fact.seq < seq:
                    replay.fold(stored)
                elif stored.fact.seq == seq:
                    target = stored
                    replay.look(stored)
                else:
                    return None
    return target


async def _configs(history: History, named: Mapping[str, int], stored: Stored) -> list[Stored]:
    """In the order of their ids."""
    if not named:
        return []
    found = {(s.fact.config_id, s.fact.config_version): s for s in await history.versions(named, stored.fact.tenant_id)}
    missing = [f"{config} version {version}" for config, version in named.items() if (config, version) not in found]
    if missing:
        what = f"does not have {', '.join(missing)}, which {stored.fact.id} names"
        raise HistoryIncomplete(f"the {history.name} {what}. {history.behind}")
    return [found[pair] for pair in sorted(named.items())]


async def _elsewhere(history: History, stored: Stored) -> Stored | None:
    """The fact of another ledger that a refused charge or cost names, of the same tenant."""
    source_id = stored.fact.source_id
    named = parse_fact_id(source_id) if source_id is not None else None
    if named is None or named[0] == stored.fact.ledger_id:
        return None
    async with aclosing(history.facts(named[0])) as pieces:
        async for piece in pieces:
            for other in piece:
                if other.fact.seq == named[1]:
                    return other if other.fact.tenant_id == stored.fact.tenant_id else None
    return None
