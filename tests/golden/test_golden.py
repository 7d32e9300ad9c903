"""The bytes on every wire are pinned; `tests/golden/story.py` says how to add."""

import json
from typing import Any

import pytest

from tests.golden.story import COMMANDS, FOLDER, LATER, story
from z0 import names
from z0.codec import decode_command, decode_fact, hash_of
from z0.domain.commands import OPS
from z0.domain.outcome import Outcome
from z0.log.claims import decode_claim
from z0.names import SINK_ARCHIVE, SINK_CLICKHOUSE, SINK_CONFIGS, SINK_GROUP_PREFIX, SINK_POSTGRES
from z0.reference.facts import CHANGES


def golden(name: str) -> dict[str, Any]:
    """A golden file."""
    found: dict[str, Any] = json.loads((FOLDER / name).read_text())
    return found


@pytest.mark.parametrize("name", ["facts.json", "commands.json", "answers.json"])
def test_the_bytes_are_those_of_the_golden_file(name: str) -> None:
    """A new entry is missing: `python -m tests.golden.story`. An entry differs: the wire has changed, and must not."""
    assert story()[name] == golden(name)


def test_every_command_and_every_kind_of_fact_is_pinned() -> None:
    """A new one gets its line in the story."""
    assert {command.__struct_config__.tag for command in (COMMANDS | LATER).values()} == set(OPS)
    kinds = {f"{kind}/{subtype}" if subtype else kind for kind, subtype in CHANGES}
    assert kinds <= {name.rpartition(": ")[2] for name in golden("facts.json")}


def test_what_was_written_is_still_read_and_proved() -> None:
    """From the golden bytes, not from today's encoder."""
    for name, value in golden("facts.json").items():
        if name == "claim":
            assert decode_claim(value.encode()).partition == 0
        else:
            assert decode_fact(value.encode()).hash == hash_of(value.encode())
    for value in golden("commands.json").values():
        assert not isinstance(decode_command(value.encode()), Outcome)


def test_every_name_outside_this_process_is_pinned() -> None:
    """A renamed topic is an empty one; a renamed group reads everything again."""
    found = {name: value for name, value in vars(names).items() if name.isupper()}
    found = {name: value.decode() if isinstance(value, bytes) else value for name, value in found.items()}
    assert found == golden("names.json")
    assert len({SINK_POSTGRES, SINK_CLICKHOUSE, SINK_ARCHIVE, SINK_CONFIGS, SINK_GROUP_PREFIX}) == 5


def test_no_outcome_was_ever_renamed_or_moved() -> None:
    """New ones may come between; the names and their order stay."""
    known: Any = golden("outcomes.json")
    assert [outcome for outcome in Outcome if outcome in known] == known
