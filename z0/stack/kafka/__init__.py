"""
The local Kafka: one node, or three, each broker and controller. Owns: its settings, its storage, its command line.

Does not own: topics (`z0.log.topics` makes them), starting and stopping (`z0.stack.control`).
"""

import base64
import hashlib
import subprocess
import uuid
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from z0 import kafka_url
from z0.config import Config, variable
from z0.errors import StackError
from z0.stack import health, layout
from z0.stack.kafka import jars
from z0.stack.program import Program, Report

# 768 MB is ample for this load and leaves room on a laptop. Not G1: what a request brings is large beside its regions, so that at
# 20,000 commands a second it marks the heap over and over, for a quarter of a core.
JVM = ("-Xms512m", "-Xmx768m", "-Xmn256m", "-XX:+UseParallelGC", "-XX:+ExitOnOutOfMemoryError")


def programs(config: Config) -> tuple[Program, ...]:
    if config.kafka:
        return (Program("kafka", kafka_url.shown(config.kafka_servers), partial(health.kafka, config.kafka_servers)),)
    return tuple(_program(config, node) for node in range(1, config.kafka_nodes + 1))


def node_name(node: int) -> str:
    """The program of a node; nodes count from 1, as brokers' ids do."""
    return "kafka" if node == 1 else f"kafka-{node}"


def _program(config: Config, node: int) -> Program:
    home, address = layout.of(config).data("kafka"), _address(config.kafka_port, node)
    return Program(
        name=node_name(node),
        address=address,
        healthy=partial(health.kafka, address),
        command=partial(_command, home, "kafka.Kafka", str(_settings_file(config, home, node))),
        ports={
            _port(config.kafka_port, node): variable("kafka_port"),
            _port(config.kafka_controller_port, node): variable("kafka_controller_port"),
        },
        prepare=partial(_prepare, config, home, node),
        ready_within_s=90.0,
        stop_within_s=60,
    )


def _port(first: int, node: int) -> int:
    return first + 2 * (node - 1)


def _address(first: int, node: int) -> str:
    return f"127.0.0.1:{_port(first, node)}"


def settings(config: Config, home: Path, node: int = 1) -> Mapping[str, str | int]:
    """The broker's settings. What the ledger's safety rests on stands first."""
    return {
        "auto.create.topics.enable": "false",  # a typing error must not become a topic
        "unclean.leader.election.enable": "false",  # it would lose acknowledged facts
        "message.max.bytes": 4 * 1024 * 1024,
        "replica.fetch.max.bytes": 4 * 1024 * 1024,
        "group.min.session.timeout.ms": 1000,  # the fault tests wait for a dead worker's session to end
        "group.initial.rebalance.delay.ms": 0,  # one worker: nobody else to wait for
        # after a kill, the broker may register again only when its old session has ended (by default 9 s)
        "broker.session.timeout.ms": 3000,
        "broker.heartbeat.interval.ms": 500,
        **_node(config, home, node),
        **_small(replicas=config.kafka_nodes),
    }


def _node(config: Config, home: Path, node: int) -> Mapping[str, str | int]:
    broker, controller = _address(config.kafka_port, node), _address(config.kafka_controller_port, node)
    nodes = range(1, config.kafka_nodes + 1)
    return {
        "process.roles": "broker,controller",
        "node.id": node,
        "controller.quorum.voters": ",".join(f"{n}@{_address(config.kafka_controller_port, n)}" for n in nodes),
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://{broker},CONTROLLER://{controller}",
        "advertised.listeners": f"PLAINTEXT://{broker}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": str(_data(home, node)),
    }


def _data(home: Path, node: int) -> Path:
    return home / ("data" if node == 1 else f"data-{node}")


def _small(replicas: int) -> Mapping[str, str | int]:
    """Kafka's own topics with few partitions: each costs files and start time."""
    in_sync = min(replicas, 2)
    return {
        "offsets.topic.replication.factor": replicas,
        "offsets.topic.num.partitions": 8,
        "transaction.state.log.replication.factor": replicas,
        "transaction.state.log.min.isr": in_sync,
        "transaction.state.log.num.partitions": 8,
        "share.coordinator.state.topic.replication.factor": replicas,
        "share.coordinator.state.topic.min.isr": in_sync,
        "share.coordinator.state.topic.num.partitions": 8,
        "num.network.threads": 2,
        "num.io.threads": 4,
    }


def tool_command(config: Config, tool: str) -> tuple[str, ...]:
    """
    The command line of one of Kafka's console tools, for example `ConsoleConsumer` or `TopicCommand`.

    Raises:
        StackError: Kafka's jars were not fetched yet, or there is no such tool in them.
    """
    home = layout.of(config).data("kafka")
    if not jars.libs(home).is_dir():
        raise StackError(f"there is no Kafka in {home} yet, and its tools come with it: `z0 up --servers` fetches it")
    tools = jars.tools(home)
    if tool not in tools:
        raise StackError(f"Kafka has no tool {tool!r}; there are {', '.join(sorted(tools))}")
    return _command(home, tools[tool])


def _command(home: Path, main: str, *arguments: str) -> tuple[str, ...]:
    logging = f"-Dlog4j2.configurationFile={jars.HERE / 'log4j2.xml'}"
    return (jars.java(), *JVM, logging, "-cp", f"{jars.libs(home)}/*", main, *arguments)


def _settings_text(config: Config, home: Path, node: int) -> str:
    return "".join(f"{name}={value}\n" for name, value in settings(config, home, node).items())


def _settings_file(config: Config, home: Path, node: int) -> Path:
    """The name changes with the content, so that changed settings change the command line and the broker is restarted."""
    digest = hashlib.sha256(_settings_text(config, home, node).encode()).hexdigest()[:12]
    return home / f"server-{node}-{digest}.properties"


def _prepare(config: Config, home: Path, node: int, report: Report) -> None:
    jars.fetch(home, report)
    for old in home.glob(f"server-{node}-*.properties"):
        old.unlink()
    settings_file = _settings_file(config, home, node)
    settings_file.write_text(_settings_text(config, home, node))
    if not (_data(home, node) / "meta.properties").exists():
        _format(home, node, settings_file, report)


def _format(home: Path, node: int, settings_file: Path, report: Report) -> None:
    """Give the storage its identity, once; `--ignore-formatted` takes up a format that was interrupted."""
    report(node_name(node), "formatting the storage (once)")
    arguments = ("format", "-t", _cluster_id(home), "-c", str(settings_file), "--ignore-formatted")
    done = subprocess.run(_command(home, "kafka.tools.StorageTool", *arguments), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = "\n".join((done.stdout + done.stderr).strip().splitlines()[-8:])
        raise StackError(
            f"Kafka could not format {_data(home, node)}; look at what it said, correct it, and run `z0 up` again:\n{last}"
        )


def _cluster_id(home: Path) -> str:
    kept = home / "cluster-id"
    if not kept.exists():
        # "z0" in front: an id that begins with "-" would be read as an option
        kept.write_text("z0" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")[2:])
    return kept.read_text()
