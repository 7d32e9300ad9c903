"""Settings: read once, every problem at once, each with its variable's name."""

import pytest

from z0.config import SECRET_BYTES_MAX, Config, fields, from_env, variable
from z0.errors import SettingsError


def problems(environ: dict[str, str]) -> list[str]:
    """What is wrong with an environment."""
    with pytest.raises(SettingsError) as caught:
        from_env(environ)
    return caught.value.problems


def test_an_empty_environment_gives_the_defaults_of_the_local_stack() -> None:
    """Nothing needs to be set on a laptop."""
    config = from_env({"PATH": "/bin", "HOME": "/root"})
    assert config == Config()
    assert config.kafka_servers == f"127.0.0.1:{config.kafka_port}"
    assert config.api_url == f"http://127.0.0.1:{config.api_port}"


def test_a_given_address_wins_over_the_local_one() -> None:
    """Only addresses differ between a laptop and production."""
    config = from_env(
        {"Z0_KAFKA": "a:1,b:2", "Z0_POSTGRES": "postgresql://p", "Z0_CLICKHOUSE": "http://c", "Z0_S3": "https://s/b"}
    )
    assert (config.kafka_servers, config.postgres_url) == ("a:1,b:2", "postgresql://p")
    assert (config.clickhouse_url, config.s3_url) == ("http://c", "https://s/b")


def test_all_problems_are_reported_at_once_each_beginning_with_its_variable() -> None:
    """Whoever sets up a machine corrects them in one go."""
    found = problems(
        {"Z0_PARTITIONS": "0", "Z0_API_PORT": "http", "Z0_WORKER_ID": "Worker 1", "Z0_TABLE_STORE": "sqlite", "Z0_X": "1"}
    )
    assert sorted(p.partition(":")[0] for p in found) == [
        "Z0_API_PORT",
        "Z0_PARTITIONS",
        "Z0_TABLE_STORE",
        "Z0_WORKER_ID",
        "Z0_X",
    ]
    assert any("'http'" in p for p in found)


def test_the_message_lists_them_for_a_person() -> None:
    """One line each, and how many there are."""
    with pytest.raises(SettingsError, match=r"2 setting\(s\) to correct:\n  - Z0_.*\n  - Z0_"):
        from_env({"Z0_PARTITIONS": "-1", "Z0_REPLICATION": "9"})


@pytest.mark.parametrize(
    ("given", "meant"), [("Z0_KAFKA_PROT", "Z0_KAFKA_PORT"), ("Z0_PARTITION", "Z0_PARTITIONS"), ("Z0_WORKERID", "Z0_WORKER_ID")]
)
def test_an_unknown_variable_is_refused_with_a_hint(given: str, meant: str) -> None:
    """A misspelt setting must not be a setting that is not set."""
    [problem] = problems({given: "1"})
    assert problem == f"{given}: there is no such setting; did you mean {meant}?"


def test_an_unknown_variable_like_no_other_has_no_hint() -> None:
    """A wrong hint is worse than none."""
    assert problems({"Z0_QQQQ": "1"}) == ["Z0_QQQQ: there is no such setting"]


def test_two_servers_on_one_port_are_refused() -> None:
    """Also when one of them is a default."""
    [problem] = problems({"Z0_API_PORT": str(Config().kafka_port)})
    assert problem == f"Z0_API_PORT: port {Config().kafka_port} is also Z0_KAFKA_PORT"


def test_a_door_beyond_loopback_needs_a_secret() -> None:
    """Whoever reaches the door asserts a tenant."""
    [problem] = problems({"Z0_DOOR_HOST": "10.0.0.5"})
    assert problem.startswith("Z0_DOOR_SECRET:")
    assert from_env({"Z0_DOOR_HOST": "10.0.0.5", "Z0_DOOR_SECRET": "s"}).door_host == "10.0.0.5"


def test_a_secret_too_long_for_a_hello_is_refused_and_not_shown() -> None:
    """By its bytes; the door would send every client away."""
    assert from_env({"Z0_DOOR_SECRET": "x" * SECRET_BYTES_MAX}).door_secret is not None
    assert problems({"Z0_DOOR_SECRET": "é" * (SECRET_BYTES_MAX // 2 + 1)}) == ["Z0_DOOR_SECRET: longer than 1000 bytes"]


def test_a_secret_is_not_in_what_is_printed() -> None:
    """Settings end up in logs."""
    assert "hunter2" not in repr(from_env({"Z0_DOOR_SECRET": "hunter2"}))


def test_more_replicas_in_sync_than_there_are_is_refused() -> None:
    """Nothing could ever be written."""
    [problem] = problems({"Z0_MIN_INSYNC_REPLICAS": "2"})
    assert problem.startswith("Z0_MIN_INSYNC_REPLICAS:")


def test_every_setting_has_a_meaning_for_the_reference_page() -> None:
    """The page is generated from the descriptions."""
    for name, field in fields().items():
        assert variable(name) == f"Z0_{name.upper()}"
        assert field.description, name
        assert field.description.endswith("."), name


def test_clashes_are_reported_together_with_wrong_values() -> None:
    """All problems at once: nobody likes to correct settings one by one."""
    with pytest.raises(SettingsError) as caught:
        from_env({"Z0_PARTITIONS": "many", "Z0_KAFKA_PORT": "15432", "Z0_DOOR_HOST": "0.0.0.0"})
    assert len(caught.value.problems) == 3
    assert {problem.partition(":")[0] for problem in caught.value.problems} == {
        "Z0_PARTITIONS",
        "Z0_POSTGRES_PORT",
        "Z0_DOOR_SECRET",
    }


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *(("Z0_KAFKA", text) for text in ("a:b:c", "host:x", "host:9092,", ":9092")),
        *(("Z0_POSTGRES", text) for text in ("nonsense", "host:5432")),
        *(("Z0_CLICKHOUSE", text) for text in ("http://", "x", "http://host:x/z0")),
        *(("Z0_S3", text) for text in ("x", "https://key:hunter2@host", "s3://bucket")),
    ],
)
def test_an_address_that_is_none_is_told_beside_all_other_problems_and_never_shown(name: str, text: str) -> None:
    """Later it would be a library's traceback; and it may hold a password."""
    with pytest.raises(SettingsError) as caught:
        from_env({name: text, "Z0_WORKERS": "99"})
    assert [problem.split(":")[0] for problem in caught.value.problems] == ["Z0_WORKERS", name]
    assert "hunter2" not in str(caught.value)


def test_addresses_of_every_documented_form_are_taken() -> None:
    """With names, numbers, and what a managed service shows."""
    given = {
        "Z0_KAFKA": "one:9092, [::1]:9092,three",
        "Z0_POSTGRES": "postgres://u:p@host/db?sslmode=require",
        "Z0_CLICKHOUSE": "https://u:p%40x@host:8443/db",
        "Z0_S3": "https://key:secret@host/bucket?region=auto",
    }
    assert from_env(given).s3_url == given["Z0_S3"]
