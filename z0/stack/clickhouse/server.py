"""
The HTTP server. Owns: routes, the life of the process from lock to close. Does not own: what a query means (`engine`).
"""

import asyncio
import logging
import re
import signal
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial

from aiohttp import web

from z0.stack.clickhouse import account, encodings, errors, hello, lock, request
from z0.stack.clickhouse.config import Config
from z0.stack.clickhouse.engine import Answer, Engine
from z0.stack.clickhouse.errors import EngineError
from z0.stack.clickhouse.lanes import Lanes
from z0.stack.clickhouse.replies import Replies

logger = logging.getLogger(__name__)
# A caller's text goes into a header only if it cannot end the line.
_HEADER_SAFE = re.compile(r"[\x20-\x7e]{1,200}")


class Server:
    """Answers queries on one engine."""

    def __init__(self, config: Config, engine: Engine, lanes: Lanes) -> None:
        self._config = config
        self._engine = engine
        self._lanes = lanes
        self._replies = Replies(engine.about)

    def app(self) -> web.Application:
        app = web.Application(client_max_size=self._config.limits.body_bytes)
        app.router.add_get("/ping", _ok)
        app.router.add_get("/replicas_status", _ok)
        app.router.add_get("/", self._get)
        app.router.add_post("/", self._post)
        return app

    async def _get(self, http: web.Request) -> web.Response:
        return await self._post(http) if "query" in http.query else await _ok(http)

    async def _post(self, http: web.Request) -> web.Response:
        query_id = _query_id(http)
        try:
            account.check(self._config.account, http.headers, http.query)
            return await self._asked(await request.read(http), query_id)
        except EngineError as error:
            return self._replies.error(query_id, error)
        except web.HTTPRequestEntityTooLarge:
            most = self._config.limits.body_bytes
            return self._replies.error(query_id, errors.refuse(errors.QUERY_IS_TOO_LARGE, f"A body may have {most} bytes."))

    async def _asked(self, asked: request.Asked, query_id: str) -> web.Response:
        if hello.answers(asked):
            body, encoding = encodings.encoded(hello.reply(self._engine.about), asked.accept)
            return self._replies.answer(query_id, body, "Native", encoding, {})
        work = partial(_run, self._engine, asked)
        answer, body, encoding = await self._lanes.run(work, reads=asked.query.statement.reads)
        return self._replies.answer(query_id, body, answer.format, encoding, answer.summary)


def _run(engine: Engine, asked: request.Asked) -> tuple[Answer, bytes, str]:
    """In a lane's thread: compressing a large reply would hold up the event loop too."""
    answer = engine.run(asked.query)
    return answer, *encodings.encoded(answer.body, asked.accept)


def _query_id(http: web.Request) -> str:
    given = http.query.get("query_id", "")
    return given if _HEADER_SAFE.fullmatch(given) else str(uuid.uuid4())


async def _ok(_: web.Request) -> web.Response:
    return web.Response(text="Ok.\n")


@contextmanager
def _engine(config: Config) -> Iterator[Engine]:
    engine = Engine(config.data / "engine", config.limits.query_seconds)
    try:
        yield engine
    finally:
        engine.close()


@asynccontextmanager
async def _listening(config: Config, server: Server) -> AsyncIterator[None]:
    """Until the block ends; then no new connections, and time for the queries that run."""
    # Bodies are decoded by us: ClickHouse's clients send encodings that aiohttp does not know.
    runner = web.AppRunner(
        server.app(),
        auto_decompress=False,
        max_line_size=config.limits.line_bytes,
        shutdown_timeout=config.limits.stop_seconds,
        access_log=None,
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, config.host, config.port).start()
        logger.info("listening on %s", runner.addresses)
        yield
    finally:
        await runner.cleanup()


async def serve(config: Config) -> None:
    """Serve until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    with lock.held(config.data), _engine(config) as engine:
        # After the engine: opening it may set handlers of its own.
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        lanes = Lanes(config.limits)
        try:
            async with _listening(config, Server(config, engine, lanes)):
                await stop.wait()
        finally:
            # Whoever asked is gone by now: what still runs had its time.
            engine.interrupt()
            lanes.close()
