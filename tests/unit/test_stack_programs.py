"""The pure parts of the local stack: no program is started."""

import configparser
import shlex
import signal
import socket
from pathlib import Path

import pytest
from pydantic import SecretStr

from z0.config import Config
from z0.errors import StackError
from z0.stack import ports, program, supervisor_config
from z0.stack.kafka import jars
from z0.stack.kafka import settings as kafka_settings
from z0.stack.layout import Layout, of
from z0.stack.program import Program, ProgramStatus, State
from z0.stack.programs import environment, find, programs
from z0.stack.s3 import inner_ports


def _program(name: str = "demo", *, command: tuple[str, ...] = ("demo", "a b"), **more: object) -> Program:
    return Program(name, "", lambda _timeout: True, lambda: command, **more)  # type: ignore[arg-type]


def _parsed(text: str) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(inline_comment_prefixes=(";", "#"))
    parser.read_string(text)
    return parser


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ('openjdk version "17.0.15" 2025-04-15', 17),
        ('java version "1.8.0_292"', 8),
        ('openjdk version "25" 2025-09-16', 25),
        ('openjdk version "21-ea" 2023-09-19', 21),
        ("Error: could not find java.dll", None),
        ("", None),
    ],
)
def test_java_version(text: str, version: int | None) -> None:
    assert jars.parse_java_version(text) == version


def test_java_home_without_java_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(StackError, match=r"none in JAVA_HOME=.*install Java 17"):
        jars.java()


def test_kafka_version_is_read_from_the_pom() -> None:
    assert jars.kafka_version().startswith("4.1.")


def test_no_maven_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StackError, match="install Maven"):
        jars.fetch(tmp_path, lambda _name, _what: None)


def test_clash_names_port_variable_and_holder() -> None:
    message = ports.clash(15432, "Z0_POSTGRES_PORT", "postgres (PID 7)")
    assert message == "port 15432 (Z0_POSTGRES_PORT) is taken by postgres (PID 7); set Z0_POSTGRES_PORT to another port"


def test_a_taken_port_is_found_and_its_holder_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(StackError, match=rf"port {port} \(Z0_X_PORT\) is taken by .+; set Z0_X_PORT"):
            ports.check_free([_program(ports={port: "Z0_X_PORT"})])


def test_all_port_problems_are_told_at_once() -> None:
    one, other = _program("one", ports={70_000: "Z0_A", 1: "Z0_B"}), _program("other", ports={70_001: "Z0_C"})
    with pytest.raises(StackError) as error:
        ports.check_free([one, other])
    assert "70000" in str(error.value)
    assert "70001" in str(error.value)


def test_two_parts_may_not_share_a_port() -> None:
    config = Config(s3_port=28333, kafka_port=28335)
    with pytest.raises(StackError, match=r"28335 .*a part of this stack"):
        ports.check_free(programs(config))


def test_inner_ports_of_s3_follow_its_port() -> None:
    assert sorted(inner_ports(18333).values()) == list(range(18334, 18334 + len(inner_ports(0))))


def test_default_ports_do_not_overlap() -> None:
    every = [port for one in programs(Config()) for port in one.ports]
    assert len(every) == len(set(every))


def test_further_workers_have_names_and_doors_of_their_own() -> None:
    config = Config(workers=3)
    workers = [one for one in programs(config) if one.name.startswith("worker")]
    assert [one.name for one in workers] == ["worker", "worker-2", "worker-3"]
    assert [one.settings["Z0_WORKER_ID"] for one in workers] == ["worker-1", "worker-1-2", "worker-1-3"]
    assert [list(one.ports) for one in workers] == [[config.door_port + n] for n in range(3)]


def test_three_brokers_have_ports_and_storage_of_their_own_and_one_quorum(tmp_path: Path) -> None:
    config = Config(home=tmp_path, kafka_nodes=3)
    brokers = [one for one in programs(config) if one.name.startswith("kafka")]
    assert [one.name for one in brokers] == ["kafka", "kafka-2", "kafka-3"]
    assert [one.address for one in brokers] == config.kafka_servers.split(",")
    assert len({port for one in brokers for port in one.ports}) == 6
    settings = [kafka_settings(config, tmp_path, node) for node in (1, 2, 3)]
    assert len({s["log.dirs"] for s in settings}) == 3
    assert {s["controller.quorum.voters"] for s in settings} == {"1@127.0.0.1:19093,2@127.0.0.1:19095,3@127.0.0.1:19097"}
    assert {s["offsets.topic.replication.factor"] for s in settings} == {3}


def test_given_servers_are_not_started(tmp_path: Path) -> None:
    config = Config(
        home=tmp_path, kafka="k:9092", postgres="postgresql://u:p@h/d", clickhouse="http://h:1/d", s3="https://k:s@h/b"
    )
    servers = [one for one in programs(config) if not one.own]
    assert all(one.given for one in servers)
    assert not any("p@" in one.address or "k:s" in one.address for one in servers), "no password is shown"


def test_an_unknown_program_is_told_with_the_known_ones() -> None:
    with pytest.raises(StackError, match=r"no program 'nope'; there are kafka, postgres"):
        find(Config(), "nope")


def test_environment_is_the_config_and_gives_it_back(tmp_path: Path) -> None:
    from z0.config import from_env

    config = Config(home=tmp_path, kafka_port=1234, door_secret=SecretStr("s'e $c"))
    given = environment(config)
    assert given["Z0_KAFKA_PORT"] == "1234"
    assert "Z0_POSTGRES" not in given, "unset stays unset"
    assert from_env(given) == config


def test_supervisor_config(tmp_path: Path) -> None:
    place = Layout(tmp_path / "50% of it")
    one = _program(stop_signal=signal.SIGINT, settings={"Z0_X": "it's; # fine"})
    parsed = _parsed(supervisor_config.render(place, [one]))
    section = parsed["program:demo"]
    assert section["stopsignal"] == "INT"
    assert section["autostart"] == "false"
    words = shlex.split(section["command"].replace("%%", "%"))
    assert words[2:] == [str(place.pid("demo")), str(supervisor_config.settings_file(place, one)), "demo", "a b"]
    assert "fine" not in section["command"], "settings may be secret and command lines are seen by all"


def test_supervisor_config_leaves_out_given_programs(tmp_path: Path) -> None:
    given = Program("kafka", "k:9092", lambda _timeout: True)
    assert "program:kafka" not in supervisor_config.render(Layout(tmp_path), [given])


def test_changed_settings_change_the_command(tmp_path: Path) -> None:
    place = Layout(tmp_path)
    before, after = (supervisor_config.render(place, [_program(settings={"Z0_X": value})]) for value in "12")
    assert before != after


def test_a_folder_that_supervisord_cannot_be_told(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="Z0_HOME"):
        supervisor_config.render(Layout(tmp_path / "a ;b"), [])


def test_socket_of_a_deep_folder_is_short_enough(tmp_path: Path) -> None:
    deep = Layout(tmp_path / ("x" * 120))
    assert len(str(deep.supervisor_socket)) < 100
    assert deep.supervisor_socket != Layout(tmp_path / ("y" * 120)).supervisor_socket
    assert Layout(Path("/z")).supervisor_socket == Path("/z/run/supervisord.sock")


def test_home_is_absolute() -> None:
    assert of(Config(home=Path("somewhere"))).home.is_absolute()


@pytest.mark.parametrize(
    ("state", "wanted", "fine"),
    [(State.READY, True, True), (State.STOPPED, True, False), (State.STOPPED, False, True), (State.UNREACHABLE, True, False)],
)
def test_status_is_fine(state: State, wanted: bool, fine: bool) -> None:
    assert ProgramStatus("demo", state, wanted, "").fine is fine


def test_given_has_no_command() -> None:
    assert program.Program("kafka", "k:9092", lambda _timeout: True).given
