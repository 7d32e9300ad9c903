"""Ids: prefixes, ledger ids, command ids, fact ids."""

import pytest

from z0.domain.ids import (
    COMMAND_ID_BYTES_MAX,
    ID_BYTES_MAX,
    PREFIXES,
    EntityType,
    entity_type,
    fact_id,
    is_command_id,
    ledger_id,
    parse_fact_id,
    parse_ledger_id,
)


@pytest.mark.parametrize(
    ("entity", "ledger"),
    [
        ("acct_123", "account_acct_123"),
        ("asset_a", "asset_asset_a"),
        ("cont_x-1", "contact_cont_x-1"),
        ("deal_9", "deal_deal_9"),
        ("tenant_a:b", "tenant_tenant_a:b"),
        ("key_K", "key_key_K"),
        ("user_1", "user_user_1"),
        ("tool_1", "tool_tool_1"),
        ("vend_1", "vendor_vend_1"),
        ("camp_1", "campaign_camp_1"),
        ("cfg_1", "config_cfg_1"),
        ("wf_1", "workflow_wf_1"),
    ],
)
def test_a_ledger_id_is_the_namespace_and_the_entity_id(entity: str, ledger: str) -> None:
    """Prefix and namespace are those of the source document."""
    assert ledger_id(entity) == ledger
    parsed = parse_ledger_id(ledger)
    assert parsed is not None
    assert parsed.entity_id == entity
    assert parsed.type is entity_type(entity)


def test_every_entity_type_has_exactly_one_prefix() -> None:
    """A type without a prefix could have no entity."""
    assert sorted(PREFIXES.values()) == sorted(EntityType)


@pytest.mark.parametrize(
    "text", ["", "acct", "acct_", "acc_1", "ACCT_1", "acct_a b", "acct_a/b", "acct_ä", "acct_1\n", "acct_a.1", "_1"]
)
def test_what_has_no_known_prefix_or_other_characters_is_no_entity_id(text: str) -> None:
    """A dot would make fact ids ambiguous, a newline slips through `$`."""
    assert entity_type(text) is None
    with pytest.raises(ValueError, match="not an entity id"):
        ledger_id(text)


def test_an_entity_id_is_bounded_in_length() -> None:
    """The longest is taken, one more is not."""
    longest = "acct_" + "a" * (ID_BYTES_MAX - 8)
    assert entity_type(longest) is EntityType.ACCOUNT
    assert entity_type(longest + "a") is None


@pytest.mark.parametrize(
    "text", ["", "acct_1", "account_", "account_asset_1", "asset_acct_1", "Account_acct_1", "account-acct_1", "!claim"]
)
def test_namespace_and_prefix_must_belong_together(text: str) -> None:
    """Otherwise one entity would have two ledgers."""
    assert parse_ledger_id(text) is None


@pytest.mark.parametrize(
    "text", ["a", "550e8400-e29b-41d4-a716-446655440000", "wf_1/step-2", '"quoted"', "x" * COMMAND_ID_BYTES_MAX]
)
def test_a_command_id_is_any_visible_ascii(text: str) -> None:
    """Callers bring ids of their own making."""
    assert is_command_id(text)


@pytest.mark.parametrize(
    "text",
    ["", "a b", "a\tb", "a\n", "\x00", "\x7f", "é", "\uff11", "x" * (COMMAND_ID_BYTES_MAX + 1)],
)
def test_spaces_control_characters_and_other_alphabets_are_no_command_ids(text: str) -> None:
    """They would not survive headers and paths."""
    assert not is_command_id(text)


def test_a_fact_id_is_ledger_id_and_seq_and_back() -> None:
    """Derived, so that every writer gives the same fact the same id."""
    assert fact_id("account_acct_1", 42) == "account_acct_1.42"
    assert parse_fact_id("account_acct_1.42") == ("account_acct_1", 42)


@pytest.mark.parametrize(
    "text",
    [
        "", "account_acct_1", "account_acct_1.", "account_acct_1.-1", "account_acct_1.٤", "account_asset_1.4", ".1",
        "account_acct_1.0", "account_acct_1.042", "account_acct_1." + "9" * 19, "account_acct_1." + "9" * 5_000,
    ],
)  # fmt: skip
def test_what_is_no_fact_id_is_not_parsed(text: str) -> None:
    """Also not with digits of another alphabet, or with more of them than Python reads as a number."""
    assert parse_fact_id(text) is None
