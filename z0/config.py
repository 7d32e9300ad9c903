"""
The settings: one frozen tree, read once from the environment, all problems reported at once.

Owns: the name, default, meaning and check of every setting. `docs/reference/settings.md` is generated from it.
Does not own: what the settings are used for. Nothing here opens a connection.
"""

import difflib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, SecretStr, ValidationError, model_validator
from pydantic.fields import FieldInfo

from z0 import kafka_url
from z0.errors import SettingsError

PREFIX = "Z0_"
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
Port = int
SECRET_BYTES_MAX = 1000  # a hello is 1 KiB at most


def _port(default: int, what: str) -> Any:
    return Field(default, ge=1, le=65535, description=what)


class Config(BaseModel):
    """Every setting. The environment variable of a field is its name in capitals behind `Z0_`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    home: Path = Field(
        Path(".z0"), description="Folder of the local stack's data, logs and run files, and of the worker's tables."
    )

    kafka: str | None = Field(
        None,
        description="Bootstrap servers of a given Kafka (`host:port,host:port`), or its URL with TLS and a login "
        "(`sasl_ssl://user:password@host:port,host:port?mechanism=SCRAM-SHA-512&ca=FILE`); unset: the local one.",
    )
    postgres: str | None = Field(
        None, description="URL of a given Postgres (`postgresql://user:password@host:port/database`); unset: the local one."
    )
    clickhouse: str | None = Field(
        None, description="URL of a given ClickHouse (`http://user:password@host:port/database`); unset: the local one."
    )
    s3: str | None = Field(
        None, description="URL of a given S3 (`https://key:secret@host:port/bucket?region=auto`); unset: the local one."
    )

    kafka_port: Port = _port(19092, "Port of the local Kafka.")
    kafka_controller_port: Port = _port(19093, "Port of the local Kafka's controller.")
    kafka_nodes: int = Field(
        1, ge=1, le=3, description="Brokers of the local Kafka, 1 or 3; each further one takes the next two ports above."
    )
    postgres_port: Port = _port(15432, "Port of the local Postgres.")
    clickhouse_port: Port = _port(18123, "Port of the local ClickHouse server (chdb).")
    s3_port: Port = _port(18333, "Port of the local S3 server; it also takes the nine above it.")
    api_host: str = Field("127.0.0.1", description="Address that the HTTP API binds to.")
    api_port: Port = _port(18080, "Port of the HTTP API.")
    door_host: str = Field("127.0.0.1", description="Address that the worker's direct door binds to and announces.")
    door_port: Port = _port(18081, "Port of the worker's direct door.")
    door_secret: SecretStr | None = Field(
        None,
        description="Shared secret of the direct door, at most 1,000 bytes; needed where `Z0_DOOR_HOST` is not loopback.",
    )

    workers: int = Field(
        1, ge=1, le=16, description="Workers that `z0 up` starts; each further one takes the next port above `Z0_DOOR_PORT`."
    )

    partitions: int = Field(
        8, ge=1, le=1024, description="Partitions of `z0.commands` and `z0.facts`; fixed when `z0 migrate` first runs."
    )
    replication: int = Field(1, ge=1, le=7, description="Replicas of every topic; 3 in production.")
    min_insync_replicas: int = Field(
        1, ge=1, le=7, description="Replicas that must have a fact before it counts; 2 in production."
    )
    table_store: Literal["rocksdb", "memory"] = Field("rocksdb", description="Where a worker keeps its tables between snapshots.")
    worker_id: str = Field(
        "worker-1", pattern=r"^[a-z0-9-]{1,40}$", description="Name of this worker; part of its data folder and of its claims."
    )
    snapshot_interval_ms: PositiveInt = Field(
        5_000, description="How often dirty entities are written to the tables, in milliseconds."
    )
    queue_commands_max: PositiveInt = Field(
        20_000, description="Commands that may wait for one partition; above it the direct door answers `overloaded`."
    )
    queue_bytes_max: PositiveInt = Field(
        16 * 1024 * 1024,
        description="Bytes of commands that may wait for one partition at each door: 20,000 of 800 bytes, or 64 of the largest.",
    )
    live_entities_max: PositiveInt = Field(
        20_000, description="Entities held in memory per partition, about 2 KiB each; the rest is read from the tables."
    )
    command_timeout_ms: PositiveInt = Field(
        5_000, description="How long the API waits for a decision before it answers 504, in milliseconds."
    )
    body_bytes_max: PositiveInt = Field(2_000_000, description="Largest HTTP body, in bytes.")
    sink_batch_rows_max: PositiveInt = Field(20_000, description="Facts that a sink writes at once.")
    sink_batch_age_ms: PositiveInt = Field(1_000, description="How long a sink waits for a batch to fill, in milliseconds.")
    archive_range_facts: PositiveInt = Field(10_000, description="Offsets in one archive object of one partition.")
    compiled: Literal["0", "1"] = Field(
        "1", description="`0` runs the kernel's sources, also where `make env` has compiled it; asked before every other setting."
    )

    @model_validator(mode="after")
    def _cross_checks(self) -> "Config":
        problems = [*self._port_clashes(), *self._unsafe(), *self._no_addresses()]
        if problems:
            raise ValueError("\n".join(problems))
        return self

    def _port_clashes(self) -> Iterator[str]:
        taken: dict[int, str] = {}
        for name, value in self:
            if not name.endswith("_port"):
                continue
            if value in taken:
                yield f"{variable(name)}: port {value} is also {variable(taken[value])}"
            taken[value] = name

    def _unsafe(self) -> Iterator[str]:
        if self.door_host not in LOOPBACK and self.door_secret is None:
            yield f"Z0_DOOR_SECRET: needed because Z0_DOOR_HOST={self.door_host} is not loopback"
        if self.door_secret is not None and len(self.door_secret.get_secret_value().encode()) > SECRET_BYTES_MAX:
            yield f"Z0_DOOR_SECRET: longer than {SECRET_BYTES_MAX} bytes"
        if self.min_insync_replicas > self.replication:
            yield f"Z0_MIN_INSYNC_REPLICAS: {self.min_insync_replicas} is more than Z0_REPLICATION={self.replication}"

    def _no_addresses(self) -> Iterator[str]:
        """Never with what was given: it may hold a password."""
        if self.kafka:
            yield from (f"Z0_KAFKA: {problem}" for problem in kafka_url.problems(self.kafka))
        if self.postgres and not self.postgres.startswith(("postgresql://", "postgres://")):
            yield "Z0_POSTGRES: not of the form postgresql://user:password@host:port/database"
        if self.clickhouse and not is_http(self.clickhouse):
            yield "Z0_CLICKHOUSE: not of the form http://user:password@host:port/database"
        if self.s3 and not (is_http(self.s3) and urlsplit(self.s3).path.strip("/")):
            yield "Z0_S3: not of the form https://key:secret@host:port/bucket?region=auto"

    # Addresses: given ones win over the local stack's.
    @property
    def kafka_servers(self) -> str:
        return self.kafka or ",".join(f"127.0.0.1:{self.kafka_port + 2 * node}" for node in range(self.kafka_nodes))

    @property
    def postgres_url(self) -> str:
        return self.postgres or f"postgresql://z0:z0@127.0.0.1:{self.postgres_port}/z0"

    @property
    def clickhouse_url(self) -> str:
        return self.clickhouse or f"http://default:@127.0.0.1:{self.clickhouse_port}/z0"

    @property
    def s3_url(self) -> str:
        return self.s3 or f"http://z0local:z0localsecret@127.0.0.1:{self.s3_port}/z0-archive"

    @property
    def api_url(self) -> str:
        return f"http://{self.api_host}:{self.api_port}"


def is_http(text: str) -> bool:
    """Whether it is the URL of a server."""
    return text.startswith(("http://", "https://")) and kafka_url.is_server(text.partition("://")[2])


def variable(field: str) -> str:
    """The environment variable of a field: `kafka_port` is `Z0_KAFKA_PORT`."""
    return PREFIX + field.upper()


def fields() -> Mapping[str, FieldInfo]:
    """Every field of `Config`, for the reference page and for the compose file's test."""
    return Config.model_fields


def from_env(environ: Mapping[str, str] | None = None) -> Config:
    """
    Read the settings from a mapping, by default the process environment.

    Raises:
        SettingsError: with every problem, each beginning with the variable's name.
    """
    environ = os.environ if environ is None else environ
    given = {k.removeprefix(PREFIX).lower(): v for k, v in environ.items() if k.startswith(PREFIX)}
    unknown = [name for name in given if name not in fields()]
    problems = [_unknown(name) for name in unknown]
    try:
        config = Config.model_validate({k: v for k, v in given.items() if k in fields()})
    except ValidationError as error:
        raise SettingsError(problems + list(_problems(error)) + _cross_problems(given, error)) from None
    if problems:
        raise SettingsError(problems)
    return config


def _cross_problems(given: Mapping[str, str], error: ValidationError) -> list[str]:
    """Pydantic looks at fields together only where each is fine; look again without those that are not."""
    wrong = {str(problem["loc"][0]) for problem in error.errors() if problem["loc"]}
    if not wrong:
        return []
    try:
        Config.model_validate({name: value for name, value in given.items() if name in fields() and name not in wrong})
    except ValidationError as rest:
        return list(_problems(rest))
    return []


def _unknown(name: str) -> str:
    near = difflib.get_close_matches(name, fields(), n=1)
    hint = f"; did you mean {variable(near[0])}?" if near else ""
    return f"{variable(name)}: there is no such setting{hint}"


def _problems(error: ValidationError) -> Iterator[str]:
    for problem in error.errors():
        text = problem["msg"].removeprefix("Value error, ")
        if problem["loc"]:
            yield f"{variable(str(problem['loc'][0]))}: {text} (given: {problem['input']!r})"
        else:
            yield from text.splitlines()
