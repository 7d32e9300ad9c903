"""
The HTTP server. Owns: how uvicorn runs the application. Does not own: the settings' meaning (`z0.config`).

uvloop is asked for by name, so that a broken installation is seen; the parser is httptools where it is installed.
"""

from typing import Final

import uvicorn
from fastapi import FastAPI

from api.app import create_app
from api.reads import PostgresReads
from z0.client import connect
from z0.config import Config, from_env

# Behind a load balancer that keeps idle connections, the server must not be the one that closes first.
KEEP_ALIVE_S: Final = 75


def build() -> FastAPI:
    """The application by the environment's settings; every uvicorn worker calls it once."""
    config = from_env()
    return create_app(config=config, ledger=connect(config), reads=PostgresReads(config.postgres_url))


def serve(config: Config, *, workers: int = 1, access_log: bool = False) -> None:
    """Serve until SIGTERM or SIGINT; requests under way are answered first."""
    uvicorn.run(
        "api.main:build",
        factory=True,
        host=config.api_host,
        port=config.api_port,
        workers=workers,
        loop="uvloop",
        http="auto",
        ws="none",
        access_log=access_log,
        log_level="info",
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        # A decision may take as long as a command may wait; then the process goes.
        timeout_graceful_shutdown=config.command_timeout_ms // 1000 + 2,
    )
