"""
The Faust app of a worker, built and not imported. Owns: the settings of Faust, and what starts and stops with it.

Faust gives the group, rebalancing, table recovery and the agent; batches, engines and the direct door are ours.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, cast

import faust
from faust.auth import SASLCredentials, SSLCredentials

from streams.agents import commands
from streams.door import DoorServer
from streams.host import EngineHost
from streams.lease import GroupLease
from streams.reading import CommandReader
from streams.recovery import PromptTableManager
from streams.transport import BatchConsumer, BatchTransport
from tables.access import access_table
from tables.budgets import budgets_table
from tables.caps import caps_table
from tables.ledgers import ledgers_table
from tables.snapshots import Tables, TableSnapshots
from z0 import kafka_url
from z0.clock import SystemClock
from z0.config import Config
from z0.kafka_url import KafkaUrl
from z0.names import COMMANDS, FAUST_APP

logger = logging.getLogger(__name__)

SESSION_TIMEOUT_S: Final = 10.0  # a killed worker's partitions are taken over after this
HEARTBEAT_INTERVAL_S: Final = 2.0
TICK_INTERVAL_S: Final = 0.5  # what is due although nobody asks is due at most this late
ANNOUNCE_INTERVAL_S: Final = 60.0
COMMIT_INTERVAL_S: Final = 1.0  # only where to start reading; exactness comes from the applied offset
COMMIT_TIMEOUT_S: Final = 2.0  # a worker that ends waits no longer: it only says where to start reading


class LedgerApp(faust.App):
    """A worker: Faust's app with a host of engines and a direct door."""

    host: EngineHost
    door: DoorServer
    commands: CommandReader
    on_closed: Callable[[int], None] = staticmethod(lambda exit_code: None)
    engine_failed = False
    is_up = False  # Faust does not call it a crash where its first start fails

    def _new_transport(self) -> Any:
        return BatchTransport(self.conf.broker_consumer, self)

    async def on_first_start(self) -> None:
        """Before the consumer joins the group."""
        self.conf.datadir.mkdir(parents=True, exist_ok=True)
        await self.host.connect()
        await self.door.start()
        await super().on_first_start()
        self.is_up = True

    async def on_stop(self) -> None:
        """Engines first: their last snapshots need the tables. What the tables hold after that survives any end."""
        await self.door.stop()
        await self.host.close()
        if not self.is_up:
            self.on_closed(1)
        elif not self.crashed:
            with suppress(Exception):  # it only says where to start reading
                await asyncio.wait_for(self.consumer.commit(), COMMIT_TIMEOUT_S)
            self.on_closed(0)
        elif self.engine_failed:  # what else fails is told by who started the app
            self.on_closed(1)
        await super().on_stop()


def create_app(config: Config) -> LedgerApp:
    """The app of one worker; nothing is opened before it starts."""
    app = LedgerApp(FAUST_APP, **_settings(config))
    clock = SystemClock()
    app.host = EngineHost(config, clock, GroupLease(clock, int(SESSION_TIMEOUT_S * 1000)), home_of(config) / "index")
    app.door = DoorServer(config, app.host)
    app.commands = CommandReader(config.kafka_servers)
    makers = (ledgers_table, budgets_table, caps_table, access_table)  # in the order of `Tables`
    tables = [make(app, config.partitions) for make in makers]
    for table in tables:
        table.send_batch = app.host.send_batch
    app.host.snapshots = TableSnapshots(Tables(*tables))
    commands.register(app, config.partitions)
    _connect_life(app)
    _connect_time(app)
    return app


def home_of(config: Config) -> Path:
    """The folder of a worker's tables and index."""
    return config.home.absolute() / "workers" / config.worker_id


def _connect_life(app: LedgerApp) -> None:
    async def rewind(partition: int) -> None:
        await cast(BatchConsumer, app.consumer).rewind(partition)

    def crash(error: BaseException) -> None:
        app.engine_failed = True
        app.add_future(app.crash(error))

    async def recovered(*_: Any, **__: Any) -> None:
        consumer = cast(BatchConsumer, app.consumer)
        if not consumer.is_settled:  # a recovery that ended while the next rebalance is under way speaks of the last assignment
            return
        app.host.take(tp.partition for tp in app.consumer.assignment() if tp.topic == COMMANDS)

    app.host.rewind = rewind
    app.host.committed = lambda partition: cast(BatchConsumer, app.consumer).committed(partition)
    app.host.crash = crash
    app.on_rebalance_complete.connect(recovered, weak=False)


def _connect_time(app: LedgerApp) -> None:
    @app.timer(interval=TICK_INTERVAL_S, name="z0.tick")  # type: ignore[untyped-decorator]  # Faust ships no types
    async def tick() -> None:
        app.host.tick()

    @app.timer(interval=ANNOUNCE_INTERVAL_S, name="z0.announce")  # type: ignore[untyped-decorator]  # Faust ships no types
    async def announce() -> None:
        await app.host.announce_again()


def _settings(config: Config) -> dict[str, Any]:
    home = home_of(config)
    return {
        **_broker(kafka_url.parse(config.kafka_servers)),
        "datadir": str(home / "faust"),
        "tabledir": str(home / "tables"),
        "store": f"{config.table_store}://",
        "autodiscover": False,
        "topic_allow_declare": False,  # `z0 migrate` makes every topic; Faust would make them with other settings
        "topic_disable_leader": True,
        "reply_create_topic": False,
        "web_enabled": False,
        "table_standby_replicas": 0,
        "stream_wait_empty": False,
        "stream_recovery_delay": 0.0,
        "broker_commit_interval": COMMIT_INTERVAL_S,
        "broker_commit_every": None,
        "broker_session_timeout": SESSION_TIMEOUT_S,
        "broker_heartbeat_interval": HEARTBEAT_INTERVAL_S,
        "broker_max_poll_records": 4_000,
        "consumer_auto_offset_reset": "earliest",
        "consumer_group_instance_id": config.worker_id,
        "worker_redirect_stdouts": False,
        "TableManager": PromptTableManager,
    }


def _broker(at: KafkaUrl) -> dict[str, Any]:
    """Servers and login, as Faust has them."""
    credentials: Any = None
    tls = kafka_url.tls(at) if at.has_tls else None
    if at.has_login:
        credentials = SASLCredentials(username=at.user, password=at.password, mechanism=at.mechanism, ssl_context=tls)
    elif tls is not None:
        credentials = SSLCredentials(tls)
    return {"broker": [f"kafka://{server}" for server in at.servers.split(",")], "broker_credentials": credentials}
