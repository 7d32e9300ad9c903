"""
`z0 bench door`: WebSocket frames (aiohttp) against plain length-prefixed ones, same payload, same loop, one after the other.

Each round trip carries a group of commands one way and its answers back, as the direct door does; nothing is decided.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import ClientSession, WSMsgType, web

from z0.bench.figures import Figure, percentile
from z0.bench.load import work
from z0.client.frames import Ask, FrameBuffer, Reply, decode_asks, decode_replies, encode, frame
from z0.codec import encode_command
from z0.domain.answer import Answer
from z0.domain.outcome import Outcome

HOST = "127.0.0.1"
RoundTrip = Callable[[bytes], Awaitable[bytes]]


def asks(count: int) -> bytes:
    """A frame's body as a client sends it."""
    commands = work(count, "door")
    return encode([Ask(0, 0, [encode_command(next(commands)) for _ in range(count)])])


def answer(body: bytes) -> bytes:
    """What an owner would send back."""
    return encode([Reply(ask.number, [_accepted() for _ in ask.commands]) for ask in decode_asks(body)])


def _accepted() -> Answer:
    return Answer("r1", "account_acct_1", Outcome.ACCEPTED, partition=0, offset=1, seq=1)


async def _measure(round_trip: RoundTrip, body: bytes, rounds: int) -> tuple[float, float]:
    """Round trips a second, and the median in milliseconds."""
    for _ in range(rounds // 10):
        await round_trip(body)
    times, began = [], time.perf_counter()
    for _ in range(rounds):
        at = time.perf_counter()
        decode_replies(await round_trip(body))
        times.append((time.perf_counter() - at) * 1000)
    return rounds / (time.perf_counter() - began), percentile(sorted(times), 0.5)


async def websocket(body: bytes, rounds: int) -> tuple[float, float]:
    """aiohttp on both ends, no compression."""

    async def serve(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=False, max_msg_size=0)
        await socket.prepare(request)
        async for message in socket:
            if message.type is WSMsgType.BINARY:
                await socket.send_bytes(answer(message.data))
        return socket

    app = web.Application()
    app.router.add_get("/", serve)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, HOST, 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        async with ClientSession() as session, session.ws_connect(f"http://{HOST}:{port}/", max_msg_size=0) as socket:

            async def round_trip(out: bytes) -> bytes:
                await socket.send_bytes(out)
                return await socket.receive_bytes()

            return await _measure(round_trip, body, rounds)
    finally:
        await runner.cleanup()


class _Plain(asyncio.Protocol):
    """Either end: hands complete frames on."""

    def __init__(self, on_frame: Callable[["_Plain", bytes], None]) -> None:
        self._on_frame = on_frame
        self._buffer = FrameBuffer()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.BaseTransport = transport

    def data_received(self, data: bytes) -> None:
        for body in self._buffer.feed(data):
            self._on_frame(self, body)

    def send(self, body: bytes) -> None:
        self.transport.write(frame(body))  # type: ignore[attr-defined]  # uvloop's transports do not inherit asyncio's


async def plain(body: bytes, rounds: int) -> tuple[float, float]:
    """Length-prefixed frames on an asyncio protocol, as the direct door has them."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Plain(lambda end, out: end.send(answer(out))), HOST, 0)
    waiting: list[asyncio.Future[bytes]] = []
    port = server.sockets[0].getsockname()[1]
    _, client = await loop.create_connection(lambda: _Plain(lambda _, out: waiting.pop().set_result(out)), HOST, port)

    async def round_trip(out: bytes) -> bytes:
        future: asyncio.Future[bytes] = loop.create_future()
        waiting.append(future)
        client.send(out)
        return await future

    try:
        return await _measure(round_trip, body, rounds)
    finally:
        client.transport.close()
        server.close()


async def measure(*, commands: int, rounds: int) -> Mapping[str, Figure]:
    """All figures of `z0 bench door`."""
    body = asks(commands)
    ws_per_s, ws_p50 = await websocket(body, rounds)
    plain_per_s, plain_p50 = await plain(body, rounds)
    return {
        "commands_per_frame": commands,
        "websocket_frames_per_s": ws_per_s,
        "websocket_p50_ms": ws_p50,
        "plain_frames_per_s": plain_per_s,
        "plain_p50_ms": plain_p50,
        "ratio": plain_per_s / ws_per_s,
    }
