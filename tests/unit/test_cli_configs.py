"""`z0 config` without servers: what a person may type."""

import json
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import Raw
from typer.testing import CliRunner

from tests.unit.config_world import NOW, book, version
from z0.cli.configs import moment, read_settings_text, refusal_text, write
from z0.cli.main import app
from z0.cli.tenants import create_tenant
from z0.client.memory import MemoryLedger
from z0.domain.answer import Answer
from z0.domain.commands import TIMESTAMP_MAX, PutConfig
from z0.domain.facts import ConfigType, Scope
from z0.domain.outcome import Outcome
from z0.errors import Z0Error

CAP = '{"limits": []}'


@pytest.mark.parametrize(
    ("text", "at"),
    [
        (None, None),
        ("1800000000000", 1_800_000_000_000),
        ("2027-01-15T08:00:00Z", 1_800_000_000_000),
        ("2027-01-15T09:00:00.250+01:00", 1_800_000_000_250),
        ("0", 0),
        ("253402300799999", TIMESTAMP_MAX),
        ("9999-12-31T23:59:59.999Z", TIMESTAMP_MAX),
    ],
)
def test_a_moment_is_a_date_with_its_zone_or_milliseconds(text: str | None, at: int | None) -> None:
    """Without the zone it would be another moment on every machine."""
    assert moment(text) == at


NO_MOMENTS = [
    *("2027-01-15T08:00:00", "tomorrow", "", " ", "-1", "+1", "1.5", "1e3", "1_000", "0x10", "²", "١٢", "1\n"),
    *("1969-12-31T23:59:59.999Z", "253402300800000", "9999-12-31T23:59:59-12:00", "9223372036854775808"),
    *("99999999999999999999", "9" * 5_000),
]


@pytest.mark.parametrize("text", NO_MOMENTS, ids=[f"{n}" for n, _ in enumerate(NO_MOMENTS)])
def test_what_is_no_moment_is_refused_with_an_example(text: str) -> None:
    """So that the next attempt works; beyond what facts hold as well as what is no number at all."""
    with pytest.raises(Z0Error, match="with the zone") as refused:
        moment(text)
    assert len(str(refused.value)) < 250


MOMENTS = [
    ["effective", "acct_1", "--tenant", "acme"],
    ["get", "cfg_1"],
    ["list"],
    ["put", "cfg_1", CAP, "--type", "cap", "--tenant", "acme"],
]


@pytest.mark.parametrize("arguments", MOMENTS, ids=[words[0] for words in MOMENTS])
def test_every_command_refuses_a_moment_beyond_the_year_9999_and_asks_no_server(arguments: list[str]) -> None:
    """It was answered, as if something could hold then."""
    for wrong in ("99999999999999999999", "-1"):
        done = CliRunner().invoke(app, ["config", *arguments, "--at", wrong])
        assert isinstance(done.exception, Z0Error)
        assert f"{wrong!r} is no moment" in str(done.exception)


def test_settings_are_an_argument_or_a_file(tmp_path: Path) -> None:
    """What is no JSON is said before anything is sent."""
    (tmp_path / "cap.json").write_text(CAP + "\n")
    assert bytes(read_settings_text(CAP)) == bytes(read_settings_text(str(tmp_path / "cap.json"))) == CAP.encode()
    with pytest.raises(Z0Error, match="not JSON"):
        read_settings_text("{")
    with pytest.raises(Z0Error, match="no_such_file"):
        read_settings_text("no_such_file")


WRONG = [
    ((), "say whose"),
    (("--tenant", "acme", "--platform"), "say whose"),
    (("--tenant", "a b"), "no tenant name"),
    (("--platform", "--entity", "acct_1"), "exclude each other"),
]


@pytest.mark.parametrize(("options", "word"), WRONG, ids=[word + str(n) for n, (_, word) in enumerate(WRONG)])
def test_who_writes_for_whom_must_be_clear(options: tuple[str, ...], word: str) -> None:
    """Nothing is guessed."""
    done = CliRunner().invoke(app, ["config", "put", "cfg_1", CAP, "--type", "cap", *options])
    assert isinstance(done.exception, Z0Error)
    assert word in str(done.exception)


def test_an_id_that_is_no_configs_is_refused() -> None:
    """Of every command that takes one."""
    for arguments in (["put", "acct_1", CAP, "--type", "cap", "--tenant", "acme"], ["get", "acct_1"]):
        done = CliRunner().invoke(app, ["config", *arguments])
        assert "no id of a config" in str(done.exception)


def test_whose_settings_are_asked_for_must_be_clear() -> None:
    """An entity, and its tenant."""
    for arguments, word in ((["acct_1"], "say whose"), (["acct", "--tenant", "acme"], "acct")):
        done = CliRunner().invoke(app, ["config", "effective", *arguments])
        assert isinstance(done.exception, Z0Error)
        assert word in str(done.exception)


@pytest.mark.parametrize("columns", [60, 200])
def test_a_list_is_as_wide_as_its_window(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    """Lines of a fixed width are torn to pieces by a narrow one."""
    routes = {"candidates": [{"tool_id": "tool_1"}]}
    monkeypatch.setattr("z0.cli.configs._book", lambda: book(version(routes, "routing", tenant="tenant_acme")))
    monkeypatch.setenv("FORCE_COLOR", "1")  # a window, for what asks
    monkeypatch.setenv("COLUMNS", str(columns))
    done = CliRunner().invoke(app, ["config", "list", "--at", str(NOW)])
    assert done.exit_code == 0
    assert max(map(len, re.sub(r"\x1b\[[0-9;]*m", "", done.output).splitlines())) <= columns


def test_a_person_is_shown_what_holds_for_an_entity(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the copy that workers decide by; `--json` is the same on one line."""
    routes = {"candidates": [{"tool_id": "tool_1"}]}
    monkeypatch.setattr("z0.cli.configs._book", lambda: book(version(routes, "routing", tenant="tenant_acme")))
    asked = ["config", "effective", "acct_1", "--tenant", "acme", "--type", "routing", "--at", str(NOW)]
    done, as_json = CliRunner().invoke(app, asked), CliRunner().invoke(app, [*asked, "--json"])
    assert json.loads(done.stdout)["settings"]["routing"]["candidates"][0]["tool_id"] == "tool_1"
    assert (json.loads(as_json.stdout), as_json.stdout.count("\n")) == (json.loads(done.stdout), 1)


@pytest.mark.parametrize("command", [["list"], ["effective", "acct_1"]], ids=["list", "effective"])
def test_what_holds_for_a_tenant_that_does_not_exist_is_not_made_up(monkeypatch: pytest.MonkeyPatch, command: list[str]) -> None:
    """The platform's settings were shown for it; one without configs the ledger knows, one with some needs no worker."""
    routes = {"candidates": [{"tool_id": "tool_1"}]}
    versions = version(routes, "routing", scope="platform"), version(routes, "routing", id="cfg_2", tenant="tenant_acme")
    asked = []

    async def with_memory(work: Callable[[MemoryLedger], Awaitable[None]]) -> None:
        async with MemoryLedger() as ledger:
            await create_tenant(ledger, "plain")
            asked.append(work)
            await work(ledger)

    monkeypatch.setattr("z0.cli.configs._book", lambda: book(*versions))
    monkeypatch.setattr("z0.cli.configs.with_ledger", with_memory)
    done = CliRunner().invoke(app, ["config", *command, "--tenant", "nobody"])
    assert str(done.exception) == "there is no tenant nobody; `z0 tenant create nobody` makes it"
    for known in (["--tenant", "plain"], ["--tenant", "acme"], ["--platform"]):
        assert CliRunner().invoke(app, ["config", *command, *known]).exit_code == 0
    assert len(asked) == 2


def put(settings: Any, kind: ConfigType = ConfigType.CAP, *, tenant: str = "tenant_acme", name: str = "put-1") -> PutConfig:
    scope, said = Scope.TENANT, Raw(msgspec.json.encode(settings))
    return PutConfig(id=name, tenant_id=tenant, ledger_id="config_cfg_1", type=kind, scope=scope, settings=said)


async def test_a_config_of_a_tenant_that_does_not_exist_is_not_written() -> None:
    """The ledger would take it: it knows of no list of tenants. What is the platform's needs none."""
    async with MemoryLedger() as ledger:
        with pytest.raises(Z0Error, match="there is no tenant acme; `z0 tenant create acme` makes it"):
            await write(ledger, ledger.log, put({}), tenant="acme")
        await create_tenant(ledger, "acme")
        _, written = await write(ledger, ledger.log, put({}), tenant="acme")
        assert written.version == 1
    async with MemoryLedger() as ledger:
        await write(ledger, ledger.log, put({}, tenant="tenant_platform"), tenant=None)


async def test_who_writes_a_config_is_told_its_version_also_of_a_repeat() -> None:
    """It was the number of the fact, which counts refusals too and is asked for nowhere."""
    async with MemoryLedger() as ledger:
        told = [(await write(ledger, ledger.log, put({}, name=name), tenant=None)) for name in ("a", "b", "a")]
    assert [(version.version, answer.repeated) for answer, version in told] == [(1, False), (2, False), (1, True)]
    assert told[0][1].effective_at == told[0][0].recorded_at


WRONG_CAP = {
    "limits": [{"name": "Daily", "counts": "spend", "window": "day", "max_count": -1}, {"name": "b", "window": "year"}],
    "timzone": "UTC",
}


def test_a_refused_config_is_told_everything_that_is_wrong_with_it() -> None:
    """Its fact names the first thing only; a person would correct them one by one."""
    refused = Answer("put-1", "config_cfg_1", Outcome.BAD_CONFIG, detail="the first one", recorded_at=NOW)
    text = refusal_text(refused, put(WRONG_CAP))
    assert text.startswith("bad_config: 5 things to correct:\n")
    for where in ("timzone", "limits.0.name", "limits.0.max_count", "limits.1.counts: is missing", "limits.1.window"):
        assert f"settings.{where}" in text
    other = Answer("put-1", "config_cfg_1", Outcome.BAD_CONFIG, detail="what only the ledger knows", recorded_at=NOW)
    assert "what only the ledger knows" in refusal_text(other, put({}))


def test_lists_are_one_json_array_and_one_thing_is_an_object(monkeypatch: pytest.MonkeyPatch) -> None:
    """One document whatever was asked, so that `jq` and `json.load` do."""
    routes = {"candidates": [{"tool_id": "tool_1"}]}
    versions = [version(routes, "routing", tenant="tenant_acme", version=n, effective_at=NOW + n) for n in (1, 2)]
    monkeypatch.setattr("z0.cli.configs._book", lambda: book(*versions))
    at = ["--at", str(NOW + 2), "--json"]
    shown = {words: json.loads(CliRunner().invoke(app, ["config", *words.split(), *at]).stdout) for words in ASKED}
    assert [one["version"] for one in shown["list"]] == [2]
    assert [one["version"] for one in shown["get cfg_1 --all"]] == [1, 2]
    assert shown["get cfg_1"]["version"] == 2
    assert shown["list --type cap"] == []


ASKED = ("list", "get cfg_1 --all", "get cfg_1", "list --type cap")
