"""
The local Kafka: one node, broker and controller. Owns: its settings, its storage, its command line.

Does not own: topics (`z0.log.topics` makes them), starting and stopping (`z0.stack.control`).
"""

import base64
import hashlib
import subprocess
import uuid
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from z0.config import Config, variable
from z0.errors import StackError
from z0.stack import health, layout
from z0.stack.kafka import jars
from z0.stack.program import Program, Report

# 768 MB is ample for this load and leaves room on a laptop; the pause target is what Kafka's own scripts use.
JVM = ("-Xms256m", "-Xmx768m", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:+ExitOnOutOfMemoryError")


def program(config: Config) -> Program:
    probe = partial(health.kafka, config.kafka_servers)
    if config.kafka:
        return Program("kafka", config.kafka_servers, probe)
    home = layout.of(config).data("kafka")
    return Program(
        name="kafka",
        address=config.kafka_servers,
        healthy=probe,
        command=partial(_command, home, "kafka.Kafka", str(_settings_file(config, home))),
        ports={
            config.kafka_port: variable("kafka_port"),
            config.kafka_controller_port: variable("kafka_controller_port"),
        },
        prepare=partial(_prepare, config, home),
        ready_within_s=90.0,
        stop_within_s=60,
    )


def settings(config: Config, home: Path) -> Mapping[str, str | int]:
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
        **_node(config, home),
        **_one_of_each(),
    }


def _node(config: Config, home: Path) -> Mapping[str, str | int]:
    broker, controller = f"127.0.0.1:{config.kafka_port}", f"127.0.0.1:{config.kafka_controller_port}"
    return {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@{controller}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://{broker},CONTROLLER://{controller}",
        "advertised.listeners": f"PLAINTEXT://{broker}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": str(home / "data"),
    }


def _one_of_each() -> Mapping[str, str | int]:
    """Kafka's own topics with one replica, and few partitions: each costs files and start time."""
    return {
        "offsets.topic.replication.factor": 1,
        "offsets.topic.num.partitions": 8,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "transaction.state.log.num.partitions": 8,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        "share.coordinator.state.topic.num.partitions": 8,
        "num.network.threads": 2,
        "num.io.threads": 4,
    }


def tool_command(config: Config, tool: str) -> tuple[str, ...]:
    """The command line of one of Kafka's console tools, for example `ConsoleConsumer` or `TopicCommand`."""
    home = layout.of(config).data("kafka")
    packages = {"ConsoleConsumer": "org.apache.kafka.tools.consumer"}
    return _command(home, f"{packages.get(tool, 'org.apache.kafka.tools')}.{tool}")


def _command(home: Path, main: str, *arguments: str) -> tuple[str, ...]:
    logging = f"-Dlog4j2.configurationFile={jars.HERE / 'log4j2.xml'}"
    return (jars.java(), *JVM, logging, "-cp", f"{jars.libs(home)}/*", main, *arguments)


def _settings_text(config: Config, home: Path) -> str:
    return "".join(f"{name}={value}\n" for name, value in settings(config, home).items())


def _settings_file(config: Config, home: Path) -> Path:
    """The name changes with the content, so that changed settings change the command line and the broker is restarted."""
    digest = hashlib.sha256(_settings_text(config, home).encode()).hexdigest()[:12]
    return home / f"server-{digest}.properties"


def _prepare(config: Config, home: Path, report: Report) -> None:
    jars.fetch(home, report)
    for old in home.glob("server-*.properties"):
        old.unlink()
    settings_file = _settings_file(config, home)
    settings_file.write_text(_settings_text(config, home))
    if not (home / "data" / "meta.properties").exists():
        _format(home, settings_file, report)


def _format(home: Path, settings_file: Path, report: Report) -> None:
    """Give the storage its identity, once; `--ignore-formatted` takes up a format that was interrupted."""
    report("kafka", "formatting the storage (once)")
    arguments = ("format", "-t", _cluster_id(home), "-c", str(settings_file), "--ignore-formatted")
    done = subprocess.run(_command(home, "kafka.tools.StorageTool", *arguments), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = "\n".join((done.stdout + done.stderr).strip().splitlines()[-8:])
        raise StackError(
            f"Kafka could not format {home / 'data'}; look at what it said, correct it, and run `z0 up` again:\n{last}"
        )


def _cluster_id(home: Path) -> str:
    kept = home / "cluster-id"
    if not kept.exists():
        # "z0" in front: an id that begins with "-" would be read as an option
        kept.write_text("z0" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")[2:])
    return kept.read_text()
