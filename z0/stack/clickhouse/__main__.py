"""
`python -m z0.stack.clickhouse --port P --data DIR [--host H]`. Owns: arguments and the exit code. Does not own: anything else.

The user's name and password come from CLICKHOUSE_USER and CLICKHOUSE_PASSWORD, since arguments are seen by every process.
"""

import argparse
import asyncio
import logging
import os
import sys
from pathlib import Path

from z0.errors import Z0Error
from z0.stack.clickhouse.config import Account, Config
from z0.stack.clickhouse.server import serve


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m z0.stack.clickhouse", description="ClickHouse's HTTP interface over chdb.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--data", type=Path, required=True, help="the data folder; one server per folder")
    parser.add_argument("--host", default="127.0.0.1")
    return parser.parse_args()


def _config(arguments: argparse.Namespace) -> Config:
    account = Account(os.environ.get("CLICKHOUSE_USER", "default"), os.environ.get("CLICKHOUSE_PASSWORD", ""))
    return Config(data=arguments.data.resolve(), host=arguments.host, port=arguments.port, account=account)


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        asyncio.run(serve(_config(_arguments())))
    except (Z0Error, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
