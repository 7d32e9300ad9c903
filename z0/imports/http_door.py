"""
The HTTP door: `POST /v1/commands/batch`. Owns: waves, retries, and what an item's answer means for the next wave.

A wave holds the commands whose needs are known: first all reserves of some rows, then what needs them, and only for the
rows that got one. One request at a time, so commands of one ledger keep their order. Every retry sends the same ids.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, Self

import aiohttp
import msgspec

from z0.domain.outcome import Outcome, is_transient
from z0.imports.backoff import Backoff
from z0.imports.build import RowCommands, Step
from z0.imports.doors import Decided, Listener
from z0.imports.errors import DoorError

BATCH_MAX: Final = 1_000  # as many as the API takes in one request
BATCH_BYTES_MAX: Final = 1_000_000  # half of what the API takes by default
TRY_AGAIN: Final = frozenset({429, 500, 502, 503, 504})
REQUEST_TIMEOUT_S: Final = 60.0  # a full batch takes a fraction of a second; who is silent for this long is gone
GOOD: Final = frozenset({Outcome.ACCEPTED})
TRANSIENT: Final = frozenset(outcome.value for outcome in Outcome if is_transient(outcome))


class Item(msgspec.Struct, frozen=True):
    """What we read of one item; the rest is for others."""

    command_id: str
    outcome: str
    repeated: bool = False


class Results(msgspec.Struct, frozen=True):
    """The answer to a batch."""

    results: list[Item]


_results_decoder = msgspec.json.Decoder(Results)
_fields_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_encode = msgspec.json.Encoder().encode


class HttpDoor:
    """Commands of one tenant, by its API key."""

    def __init__(self, url: str, api_key: str, *, batch: int = BATCH_MAX, retry_s: float = 180.0) -> None:
        self._url = f"{url.rstrip('/')}/v1/commands/batch"
        self._headers = {"X-API-Key": api_key, "Content-Type": "application/json"}
        self._batch = min(batch, BATCH_MAX)
        self._backoff = Backoff(retry_s)
        self._tenant: str | None = None
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(headers=self._headers, timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S))
        return self

    async def __aexit__(self, *_error: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def send(self, rows: Sequence[RowCommands], listener: Listener) -> None:
        steps = [step for row in rows for step in row.steps]
        accepted: set[tuple[int, str]] = set()
        for level in range(1 + max((step.level for step in steps), default=-1)):
            ready = []
            for step in steps:
                if step.level != level:
                    continue
                if all((step.line, needed) in accepted for needed in step.needs):
                    ready.append(step)
                else:
                    listener.skipped(step)
            for part in _parts(ready, self._batch):
                accepted |= await self._wave(part, listener)

    async def finish(self, listener: Listener) -> int:
        return 0  # every answer was waited for

    async def _wave(self, steps: list[Step], listener: Listener) -> set[tuple[int, str]]:
        """Send until every step has an outcome that stays; gives those that were accepted."""
        accepted, tries = set(), 0
        listener.sent(len(steps))
        while steps:
            began = time.perf_counter()
            items = await self._post(steps, listener)
            took_ms = (time.perf_counter() - began) * 1000
            again = []
            for step, item in zip(steps, items, strict=True):
                if item.outcome in TRANSIENT:
                    again.append(step)
                    continue
                # After a retry `repeated` only says that our own earlier try had come through.
                listener.decided(Decided(step, item.outcome, item.repeated and not tries, took_ms))
                if item.outcome in GOOD:
                    accepted.add((step.line, step.name))
            tries += 1
            steps = again
            if again:
                await self._again(next(item.outcome for item in items if item.outcome in TRANSIENT), listener)
            else:
                self._backoff.succeeded()
        return accepted

    async def _post(self, steps: list[Step], listener: Listener) -> list[Item]:
        body = b'{"commands":[%b]}' % b",".join(self._body(step) for step in steps)
        assert self._session is not None, "used inside `async with`"
        while True:
            try:
                async with self._session.post(self._url, data=body) as response:
                    if response.status == 200:
                        return _items(await response.read(), len(steps))
                    text = (await response.text())[:500]
                    if response.status == 401:
                        raise DoorError("the API does not take this key (401); `z0 key create --tenant NAME` makes one")
                    if response.status not in TRY_AGAIN:
                        raise DoorError(f"{self._url} answered {response.status}: {text}")
                    reason = f"{self._url} answers {response.status}: {text}"
            except (aiohttp.ClientError, TimeoutError) as error:
                reason = f"the API does not answer at {self._url} ({str(error) or type(error).__name__})"
                reason += "; start the stack with `z0 up`, or correct --url or Z0_API_HOST and Z0_API_PORT"
            await self._again(reason, listener)

    async def _again(self, reason: str, listener: Listener) -> None:
        listener.retried(reason)
        await self._backoff.wait(reason)

    def _body(self, step: Step) -> bytes:
        """The command without its tenant, which over HTTP comes from the key alone."""
        tenant = step.command.tenant_id
        if self._tenant not in (None, tenant):
            raise DoorError(
                f"line {step.line} belongs to {tenant}, rows before it to {self._tenant}: an API key is one tenant; "
                "choose its rows with --where"
            )
        self._tenant = tenant
        fields: dict[str, Any] = _fields_decoder.decode(step.value)
        del fields["tenant_id"]
        return _encode(fields)


def _items(body: bytes, count: int) -> list[Item]:
    try:
        items = _results_decoder.decode(body).results
    except msgspec.DecodeError as error:
        raise DoorError(f"not the answer of a z0 API: {error}") from None
    if len(items) != count:
        raise DoorError(f"{count} commands were sent and {len(items)} answers came")
    return items


def _parts(steps: Iterable[Step], batch: int) -> Iterator[list[Step]]:
    """Cut into batches that the API takes, by number and by bytes."""
    part: list[Step] = []
    size = 0
    for step in steps:
        if part and (len(part) == batch or size + len(step.value) > BATCH_BYTES_MAX):
            yield part
            part, size = [], 0
        part.append(step)
        size += len(step.value) + 1
    if part:
        yield part
