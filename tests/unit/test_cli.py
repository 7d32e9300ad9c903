"""The command line without servers: what a person sees when something is wrong."""

import json
import os
import socket
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import typer
from aiokafka.errors import UnknownTopicOrPartitionError
from typer.testing import CliRunner

from api.keys import KeyRecord, Mode, Scope
from sinks.archive.bucket import Bucket
from sinks.clickhouse.client import Store
from sinks.postgres.migrate import migrate as migrate_postgres
from sinks.postgres.reconcile import Reconciliation
from tests.conftest import free_ports
from z0.cli.main import app
from z0.cli.servers import told
from z0.cli.tenants import create_key, revoke_key
from z0.client.memory import MemoryLedger
from z0.config import Config
from z0.errors import StackError, Z0Error
from z0.stack.kafka import jars, tool_command

EXAMPLES = Path(__file__).parents[2] / "examples" / "llm"
SLOW = ("pydantic", "aiokafka", "aiohttp", "starlette", "faust", "boto3", "psycopg", "pyarrow", "z0.client", "z0.config")


def z0(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run `z0` as a person would."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("Z0_")} | settings
    command = [sys.executable, "-m", "z0", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("arguments", [("tenant", "create", "acme"), ("migrate",), ("worker",), ("config", "list")], ids=" ".join)
def test_a_kafka_that_does_not_answer_is_one_clear_line(arguments: tuple[str, ...]) -> None:
    """No traceback; what to do next is said."""
    done = z0(*arguments, Z0_KAFKA="127.0.0.1:1")
    assert done.returncode == 1
    assert "Kafka does not answer" in done.stderr
    assert "`z0 up`" in done.stderr
    assert "Traceback" not in done.stderr


def test_wrong_settings_are_listed_all_at_once() -> None:
    """With the name of each, and a hint for a misspelt one."""
    done = z0("status", Z0_PARTITIONS="many", Z0_KAFAK="x")
    assert done.returncode == 1
    assert "Z0_PARTITIONS" in done.stderr
    assert "did you mean Z0_KAFKA?" in done.stderr


def test_help_is_there_for_every_command() -> None:
    """The first thing that a person types."""
    done = z0("--help")
    assert done.returncode == 0
    assert all(name in done.stdout for name in ("up", "down", "status", "import", "demo", "bench", "tenant", "key", "verify"))


def test_help_waits_for_no_room() -> None:
    """Rooms are imported when a command runs: the settings and Kafka's client alone were more than half a second."""
    code = f"import sys, z0.cli.main; print([name for name in {SLOW} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def commands(of: object, path: str = "z0") -> Iterator[tuple[str, str]]:
    """Every command with its help text."""
    for name, command in getattr(of, "commands", {}).items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command.help or ""


def test_every_command_shows_how_it_is_typed() -> None:
    """An example is read before the options are."""
    found = dict(commands(typer.main.get_command(app)))
    assert "z0 bench engine" in found
    assert [path for path, text in found.items() if "Example" not in text or path not in text] == []


def test_the_version_is_told() -> None:
    """The first thing that a report of a bug needs."""
    assert CliRunner().invoke(app, ["--version"]).output == "z0 0.1.0\n"


def test_kafka_tool_explains_itself_and_says_where_its_tools_come_from(tmp_path: Path) -> None:
    """Java would look for a class `--help`, and for its tools in a folder that is not there."""
    told = z0("kafka-tool", "--help")
    assert told.returncode == 0
    assert "z0 kafka-tool ConsoleConsumer" in told.stdout
    done = z0("kafka-tool", "TopicCommand", "--list", Z0_HOME=str(tmp_path))
    assert done.returncode == 1
    assert "`z0 up --servers` fetches it" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        "engine --commands 0",
        "engine --accounts 0",
        "engine --partitions 0",
        "door --commands 0",
        "door --rounds 0",
    ],
)
def test_a_measurement_of_nothing_is_refused_before_it_begins(arguments: str) -> None:
    """It would end in a division by nothing, or never."""
    done = z0("bench", *arguments.split())
    assert done.returncode == 2
    assert "greater than or equal to 1" in done.stderr


def test_a_sink_that_is_none_is_no_setting() -> None:
    """Nothing in the environment would correct it."""
    done = z0("sink", "mysql")
    assert done.returncode == 1
    assert done.stderr.startswith("error: there is no sink 'mysql'; there are postgres, ")


async def test_a_tenant_and_a_key_that_are_none_are_told_so() -> None:
    """With what makes them, in place of the words of an outcome."""
    async with MemoryLedger() as ledger:
        with pytest.raises(Z0Error, match="there is no tenant nobody; `z0 tenant create nobody` makes it"):
            await create_key(ledger, "nobody", KeyRecord(hash="", mode=Mode.LIVE, scopes=[Scope.READ]))
        with pytest.raises(Z0Error, match="tenant nobody has no key key_1"):
            await revoke_key(ledger, "nobody", "key_1")


NOWHERE = {
    "Kafka": {"Z0_KAFKA": "127.0.0.1:1"},
    "S3": {"Z0_S3": "http://key:secret@127.0.0.1:1/bucket"},
    "Postgres": {"Z0_POSTGRES": "postgresql://z0:z0@127.0.0.1:1/z0"},
}


@pytest.mark.parametrize(
    ("command", "server"),
    [
        ("reconcile", "Kafka"),
        ("explain account_acct_1.1", "Kafka"),
        ("api", "Kafka"),
        ("verify", "S3"),
        ("explain account_acct_1.1 --from postgres", "Postgres"),
    ],
)
def test_a_server_that_does_not_answer_is_one_line_with_what_to_do_next(command: str, server: str) -> None:
    """The same words for every command and every server, with the setting that names the server."""
    done = z0(*command.split(), **NOWHERE[server], Z0_API_PORT=str(free_ports()["api_port"]))
    assert done.returncode == 1
    assert f"error: {server} does not answer (" in done.stderr
    assert f"start the stack with `z0 up`, or correct Z0_{server.upper()}" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("ask", "server"),
    [
        (lambda: migrate_postgres("postgresql://z0:z0@127.0.0.1:1/z0"), "Postgres"),
        (lambda: Reconciliation("postgresql://z0:z0@127.0.0.1:1/z0").opened().__enter__(), "Postgres"),
        (lambda: Store("http://default:@127.0.0.1:1/z0").query("SELECT 1"), "ClickHouse"),
        (lambda: Bucket("http://key:secret@127.0.0.1:1/bucket").create(), "S3"),
    ],
    ids=["migrate", "reconcile", "clickhouse", "s3"],
)
def test_every_store_says_the_same_when_it_is_away(ask: Callable[[], object], server: str) -> None:
    """Whoever asks it."""
    with pytest.raises(Z0Error) as caught:
        ask()
    assert str(caught.value).startswith(f"{server} does not answer (")
    assert str(caught.value).endswith(f"start the stack with `z0 up`, or correct Z0_{server.upper()}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("command", ["up", "status"])
def test_a_data_folder_that_cannot_be_used_is_named_with_its_setting(command: str, tmp_path: Path) -> None:
    """It is a file here; one that may not be written, or is on a full disk, is told in the same way."""
    (tmp_path / "file").touch()
    ports = {f"Z0_{name.upper()}": str(port) for name, port in free_ports().items()}
    done = z0(command, Z0_HOME=str(tmp_path / "file"), **ports)
    assert done.returncode == 1
    assert f"the folder Z0_HOME={tmp_path / 'file'} cannot be used: Not a directory" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"Z0_API_HOST": "no.such.host.invalid"}, "nothing can listen at Z0_API_HOST=no.such.host.invalid"),
        ({"Z0_API_HOST": "203.0.113.1"}, "nothing can listen at Z0_API_HOST=203.0.113.1"),
        ({}, "set Z0_API_PORT to another port"),
    ],
    ids=["no such name", "no address of ours", "taken"],
)
def test_an_address_that_the_api_cannot_listen_at_is_named_with_its_setting(settings: dict[str, str], said: str) -> None:
    """Before anything else is opened."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = z0("api", Z0_API_PORT=str(taken.getsockname()[1]), **settings)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("url", ["foo", "localhost:8080", "ftp://host", "http://", "http://host:99999"])
def test_what_is_no_url_is_not_tried_for_minutes(url: str) -> None:
    """It was tried again for 180 s, without a word."""
    mapping = str(EXAMPLES / "mapping.yaml")
    done = z0("import", str(EXAMPLES / "requests.csv.gz"), "-m", mapping, "--rows", "1", "--api-key", "key", "--url", url)
    assert done.returncode == 1
    assert f"--url {url}: no URL, such as http://127.0.0.1:18080" in done.stderr


ONE_STEP = "[{step: s, body: {op: create_entity, tenant_id: tenant_t, ledger_id: 'account_acct_{n}'}}]"
BAD = {"every row": ("x,t\n\n1,t,1\n", 1), "every row that was asked for": ("x,t\n1,u\n", 1), "no row": ("1,u\n", 0)}


@pytest.mark.parametrize(("rows", "code"), BAD.values(), ids=BAD)
def test_an_import_whose_rows_are_all_bad_has_failed(tmp_path: Path, rows: str, code: int) -> None:
    """A script that looks at the exit code alone believed that the file was in."""
    fields = "{n: {column: n, type: count}, whose: {column: whose}}"
    (tmp_path / "m.yaml").write_text(f"version: 1\nfields: {fields}\ncommands: {ONE_STEP}")
    file = tmp_path / "f.csv"
    file.write_text(f"n,whose\n{rows}")
    options = ("--where", "whose=t", "--api-key", "key", "--json")
    done = z0("import", str(file), "-m", str(tmp_path / "m.yaml"), *options, Z0_HOME=str(tmp_path))
    said = f"not one row of {file} could be used; {file}.rejected.jsonl says of each why, with its line"
    assert (done.returncode, said in done.stderr) == (code, bool(code)), done.stderr
    assert "commands_sent" in json.loads(done.stdout)


def test_an_error_of_a_library_is_told_with_the_server_that_it_is_about() -> None:
    """What no room took up, such as a topic that was deleted under our hands; a bug of z0 stays a traceback."""
    assert told(UnknownTopicOrPartitionError("gone")) == (
        "Kafka refused a request ([Error 3] UnknownTopicOrPartitionError: gone); "
        "`z0 migrate` makes what is missing there, or correct Z0_KAFKA"
    )
    assert told(Z0Error("as it is")) == "as it is"
    assert told(KeyError("a bug")) is None
    assert told(OSError(2, "No such file", "/elsewhere")) is None


def test_a_kafka_tool_is_found_wherever_it_lies_and_one_that_is_none_is_told_so(tmp_path: Path) -> None:
    """Tools lie in several packages: the one for consumer groups was not found, in Java's words."""
    folder = jars.libs(tmp_path / "kafka")
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / "kafka-tools-4.jar", "w") as jar:
        for name, code in (("group/GroupCommand", b"".join(jars.MAIN)), ("Helper", b""), ("group/GroupCommand$1", b"")):
            jar.writestr(f"org/apache/kafka/tools/{name}.class", code)
    config = Config(home=tmp_path)
    assert tool_command(config, "GroupCommand")[-1] == "org.apache.kafka.tools.group.GroupCommand"
    with pytest.raises(StackError, match=r"Kafka has no tool 'Helper'; there are GroupCommand$"):
        tool_command(config, "Helper")


def test_pages_that_cannot_be_written_are_told_with_the_option(tmp_path: Path) -> None:
    """Not as a traceback."""
    (tmp_path / "file").touch()
    done = z0("reference", "--folder", str(tmp_path / "file"))
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert f"pages cannot be written to --folder {tmp_path / 'file'}: File exists" in done.stderr


def test_ctrl_c_while_rooms_are_imported_is_no_traceback() -> None:
    """The installed command imported them before anything looked for it."""
    code = "import sys, z0.__main__ as it; sys.modules['z0.cli'] = Interrupting('z0.cli'); it.main()"
    interrupting = "class Interrupting(type(__import__('sys'))):\n def __getattr__(self, name): raise KeyboardInterrupt"
    command = [sys.executable, "-c", f"{interrupting}\n{code}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (130, "")
    assert 'z0 = "z0.__main__:main"' in (EXAMPLES.parents[1] / "pyproject.toml").read_text()


def test_a_manifest_that_is_no_hash_is_refused_before_the_archive_is_read() -> None:
    """It was said that the archive's end was cut off, after all of it had been read."""
    done = z0("verify", "--manifest", "677cbcde", Z0_S3="http://key:secret@127.0.0.1:1/bucket")
    assert done.returncode == 1
    assert "--manifest 677cbcde: no hash" in done.stderr
