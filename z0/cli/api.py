"""`z0 api`: the HTTP server. Owns: its options. Does not own: the server (`api.main`)."""

import asyncio

import typer

from z0.cli.servers import check
from z0.names import FACTS, OWNERS


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("api")
    def serve(
        workers: int = typer.Option(1, min=1, help="Processes that serve; each has its own connections to the ledger."),
        access_log: bool = typer.Option(False, "--access-log", help="Write one line per request."),
    ) -> None:
        """
        Run the HTTP API until it is told to stop (Ctrl-C or SIGTERM).

        Example: `Z0_API_PORT=8080 z0 api --workers 2`
        """
        from api.main import serve as run
        from z0.config import from_env
        from z0.stack import ports

        config = from_env()
        host, port = "Z0_API_HOST", "Z0_API_PORT"
        ports.check_listening(config.api_host, config.api_port, host_variable=host, port_variable=port)
        asyncio.run(check(config, FACTS, OWNERS))
        run(config, workers=workers, access_log=access_log)
