"""The HTTP door against a server of our own: waves, retries with the same ids, one tenant a key."""

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from z0.imports.build import Builder, RowCommands
from z0.imports.errors import DoorError
from z0.imports.http_door import HttpDoor
from z0.imports.load import load
from z0.imports.sources import Row
from z0.imports.tally import Tally

MAPPING = """
version: 1
fields: {n: {column: n}, t: {column: t}}
commands:
  - {step: reserve, body: {op: reserve, tenant_id: "{t}", ledger_id: account_acct_1, amount: "{n}", currency: USD}}
  - step: confirm
    needs: [reserve]
    body: {op: confirm, tenant_id: "{t}", ledger_id: account_acct_1, reservation_id: "{reserve.id}"}
"""
Reply = Callable[[list[dict[str, Any]]], web.Response]


class Server:
    """Answers with the replies given, in turn, and then accepts everything; remembers what it was sent."""

    def __init__(self) -> None:
        self.replies: list[Reply] = []
        self.seen: list[list[str]] = []
        self.url = ""

    async def batch(self, request: web.Request) -> web.Response:
        commands = (await request.json())["commands"]
        assert request.headers["X-API-Key"] == "key"
        assert all("tenant_id" not in command for command in commands)
        self.seen.append([command["id"] for command in commands])
        return (self.replies.pop(0) if self.replies else answers())(commands)


def answers(*outcomes: str, repeated: bool = False) -> Reply:
    """Outcomes for a batch; the last one holds for the rest."""

    def reply(commands: list[dict[str, Any]]) -> web.Response:
        names = [*outcomes, *[outcomes[-1] if outcomes else "accepted"] * len(commands)]
        items = [{"command_id": c["id"], "outcome": names[i], "repeated": repeated, "index": i} for i, c in enumerate(commands)]
        return web.json_response({"results": items})

    return reply


def status(code: int) -> Reply:
    """A whole batch that was not taken."""
    return lambda _: web.Response(status=code, text="no")


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """The server."""
    mine, app = Server(), web.Application()
    app.router.add_post("/v1/commands/batch", mine.batch)
    async with TestServer(app) as running:
        mine.url = str(running.make_url("/"))
        yield mine


@pytest.fixture
def rows(tmp_path: Path) -> list[RowCommands]:
    """Three rows of one tenant."""
    (tmp_path / "m.yaml").write_text(MAPPING)
    builder = Builder(load(tmp_path / "m.yaml"), file_sha8="f")
    return [row for n in range(3) if isinstance(row := builder.build(Row(n, {"n": "1", "t": "tenant_a"})), RowCommands)]


async def test_confirms_follow_accepted_reserves_only(server: Server, rows: list[RowCommands]) -> None:
    """First all reserves, then what has one."""
    server.replies = [answers("accepted", "budget_exhausted", "accepted")]
    tally = Tally()
    async with HttpDoor(server.url, "key") as door:
        await door.send(rows, tally)
    assert server.seen == [["f-0/reserve", "f-1/reserve", "f-2/reserve"], ["f-0/confirm", "f-2/confirm"]]
    assert (tally.accepted, tally.refused, tally.commands_skipped) == (4, 1, 1)


@pytest.mark.parametrize("code", [429, 500, 502, 503, 504])
async def test_a_batch_is_sent_again_with_the_same_ids(server: Server, rows: list[RowCommands], code: int) -> None:
    """What then comes as `repeated` is our own first try, not an earlier import."""
    server.replies = [status(code), answers("accepted")]
    tally = Tally()
    async with HttpDoor(server.url, "key") as door:
        await door.send(rows[:1], tally)
    assert server.seen[0] == server.seen[1]
    assert (tally.accepted, tally.retries) == (2, 1)


async def test_transient_items_are_sent_again_alone(server: Server, rows: list[RowCommands]) -> None:
    """The others have their outcome."""
    server.replies = [answers("accepted", "timeout", "accepted"), answers("accepted", repeated=True)]
    tally = Tally()
    async with HttpDoor(server.url, "key") as door:
        await door.send(rows, tally)
    assert server.seen[1] == ["f-1/reserve"]
    assert (tally.accepted, tally.repeated, tally.refused) == (6, 0, 0)


async def test_gives_up_in_the_end(server: Server, rows: list[RowCommands]) -> None:
    """Bounded, and the message says what to do."""
    server.replies = [status(503)] * 50
    async with HttpDoor(server.url, "key", retry_s=0.3) as door:
        with pytest.raises(DoorError, match="Run the same command again"):
            await door.send(rows, Tally())


async def test_a_refused_client_stops_at_once(server: Server, rows: list[RowCommands]) -> None:
    """A wrong key does not get better."""
    server.replies = [status(401)]
    async with HttpDoor(server.url, "key") as door:
        with pytest.raises(DoorError, match="401"):
            await door.send(rows, Tally())
    assert len(server.seen) == 1


async def test_one_key_is_one_tenant(server: Server, rows: list[RowCommands], tmp_path: Path) -> None:
    """Rows of another tenant would silently become the key's."""
    other = Builder(load(tmp_path / "m.yaml"), file_sha8="f").build(Row(9, {"n": "1", "t": "tenant_b"}))
    assert isinstance(other, RowCommands)
    async with HttpDoor(server.url, "key") as door:
        with pytest.raises(DoorError, match="--where"):
            await door.send([*rows, other], Tally())


def test_the_key_is_not_in_a_body(rows: list[RowCommands]) -> None:
    """What goes over Kafka has the tenant; over HTTP it comes from the key."""
    assert json.loads(rows[0].steps[0].value)["tenant_id"] == "tenant_a"
