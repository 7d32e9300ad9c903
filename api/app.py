"""
The application. Owns: putting the rooms of the API together and their lifetime. Does not own: any route.

What it depends on is handed in, and nothing is opened before the lifespan begins: a test hands in twins.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline

from api import docs, problems
from api.auth import Verifier
from api.closings import Closings
from api.gateway import Gateway
from api.middleware import Authenticate, LimitBody
from api.reads import Reads
from api.routers import access, budget, charges, commands, configs, decisions, eligibility, entities, health
from z0.client.ports import Ledger
from z0.clock import Clock, SystemClock
from z0.config import Config

VERSION = "1"


def create_app(*, config: Config, ledger: Ledger, reads: Reads, clock: Clock | None = None) -> FastAPI:
    """The application over a ledger and a query store; it starts and stops both."""
    # Redoc would fetch its maker's logo from a public host.
    app = FastAPIOffline(title="z0", version=VERSION, lifespan=_lifespan(ledger, reads), redoc_url=None)
    gateway = Gateway(ledger, Closings(reads), config.command_timeout_ms)
    for router in (
        entities.routes(gateway, reads),
        budget.routes(gateway),
        eligibility.routes(gateway),
        charges.routes(gateway),
        access.routes(gateway),
        configs.routes(gateway, reads, clock or SystemClock()),
        decisions.routes(gateway, reads),
        commands.routes(gateway),
        health.routes(ledger, reads),
    ):
        app.include_router(router)
    problems.install(app)
    docs.install(app)
    # The last one added is the first to see a request: nobody without a key makes us read a body.
    app.add_middleware(LimitBody, bytes_max=config.body_bytes_max)
    app.add_middleware(Authenticate, verifier=Verifier(ledger, clock or SystemClock(), config.command_timeout_ms))
    return app


def _lifespan(ledger: Ledger, reads: Reads) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with ledger, reads:
            yield

    return lifespan
