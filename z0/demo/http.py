"""A few requests over HTTP, as any client would make them. Owns: the demo's calls. Does not own: the import's (`z0.imports`)."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self

import aiohttp

from z0.errors import Z0Error

READY_WITHIN_S: Final = 60.0


class Api:
    """The API at one address."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(self._url, timeout=aiohttp.ClientTimeout(total=30))
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._session is not None:
            await self._session.close()

    async def ready(self) -> None:
        """
        Wait until every partition has an owner.

        Raises:
            Z0Error: not within a minute.
        """
        until, why = time.monotonic() + READY_WITHIN_S, ""
        while time.monotonic() < until:
            try:
                async with self._open.get("/readyz") as response:
                    if response.status == 200:
                        return
                    why = await response.text()
            except aiohttp.ClientError as error:
                why = str(error)
            await asyncio.sleep(0.2)
        raise Z0Error(f"the API at {self._url} is not ready after {READY_WITHIN_S:.0f} s: {why}")

    async def batch(self, key: str, commands: Sequence[Mapping[str, Any]]) -> None:
        """
        Commands that must all be accepted.

        Raises:
            Z0Error: one was not.
        """
        async with self._open.post("/v1/commands/batch", json={"commands": list(commands)}, headers=_auth(key)) as response:
            body = await _body(response)
        refused = [item for item in body["results"] if item["outcome"] != "accepted"]
        if refused:
            raise Z0Error(f"{refused[0]['command_id']}: {refused[0]['outcome']}: {refused[0].get('detail')}")

    async def entity(self, key: str, entity_id: str) -> dict[str, Any]:
        """The authoritative state of an entity."""
        async with self._open.get(f"/v1/entities/{entity_id}", headers=_auth(key)) as response:
            return await _body(response)

    @property
    def _open(self) -> aiohttp.ClientSession:
        assert self._session is not None, "used inside `async with`"
        return self._session


def _auth(key: str) -> dict[str, str]:
    return {"X-API-Key": key}


async def _body(response: aiohttp.ClientResponse) -> dict[str, Any]:
    if response.status != 200:
        raise Z0Error(f"{response.method} {response.url} answered {response.status}: {(await response.text())[:300]}")
    body: dict[str, Any] = await response.json()
    return body
