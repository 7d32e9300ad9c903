"""`docker-compose.yml` says the same as the settings: ports, names, passwords. Docker itself is not needed."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

import pytest
import yaml

from z0.config import Config, fields, from_env, variable
from z0.stack.programs import programs

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
DEFAULT = Config()
PORT_FIELDS = {
    "kafka": "kafka_port",
    "postgres": "postgres_port",
    "clickhouse": "clickhouse_port",
    "s3": "s3_port",
    "api": "api_port",
}
APP = sorted(name for name, service in SERVICES.items() if service.get("profiles") == ["app"])


def _host_ports(service: dict[str, Any]) -> list[tuple[str, int]]:
    return [(host, int(port)) for host, port, _inner in (published.split(":") for published in service.get("ports", []))]


def test_every_program_of_the_local_stack_is_a_service() -> None:
    assert {program.name for program in programs(DEFAULT)} | {"grafana", "migrate"} == set(SERVICES)


@pytest.mark.parametrize("name", sorted(set(SERVICES) - {"migrate"}))
def test_every_service_that_stays_has_a_health_check(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"]


def test_who_waits_for_health_names_services_that_exist() -> None:
    for service in SERVICES.values():
        assert set(service.get("depends_on", {})) <= set(SERVICES)


@pytest.mark.parametrize(("name", "field"), PORT_FIELDS.items())
def test_host_ports_are_the_defaults(name: str, field: str) -> None:
    assert _host_ports(SERVICES[name]) == [("127.0.0.1", fields()[field].default)]


def test_no_port_is_open_to_the_network() -> None:
    assert {host for service in SERVICES.values() for host, _port in _host_ports(service)} == {"127.0.0.1"}


def test_kafka_announces_the_host_port() -> None:
    assert f"HOST://{DEFAULT.kafka_servers}" in SERVICES["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]


@pytest.mark.parametrize("name", APP)
def test_settings_of_own_processes_are_valid(name: str) -> None:
    settings = SERVICES[name]["environment"]
    assert {key for key in settings if key.startswith("Z0_")} <= {variable(field) for field in fields()}
    assert from_env(settings).kafka  # parses, and the address is given


def test_a_given_address_leads_to_a_service() -> None:
    given = from_env(SERVICES["worker"]["environment"])
    assert given.kafka is not None
    assert given.kafka.split(":")[0] in SERVICES
    for url in (given.postgres_url, given.clickhouse_url, given.s3_url):
        assert urlsplit(url).hostname in SERVICES


def _login(url: SplitResult) -> tuple[str | None, str | None, str]:
    return url.username, url.password, url.path.strip("/")


@pytest.mark.parametrize("server", ["postgres", "clickhouse", "s3"])
def test_logins_are_those_of_the_default_addresses(server: str) -> None:
    given = from_env(SERVICES["worker"]["environment"])
    assert _login(urlsplit(getattr(given, f"{server}_url"))) == _login(urlsplit(getattr(DEFAULT, f"{server}_url")))


def test_postgres_is_made_with_the_default_login() -> None:
    made = SERVICES["postgres"]["environment"]
    assert (made["POSTGRES_USER"], made["POSTGRES_PASSWORD"], made["POSTGRES_DB"]) == _login(urlsplit(DEFAULT.postgres_url))


def test_clickhouse_is_made_with_the_default_database() -> None:
    assert SERVICES["clickhouse"]["environment"]["CLICKHOUSE_DB"] == urlsplit(DEFAULT.clickhouse_url).path.strip("/")


def test_s3_lets_in_the_default_key_and_nobody_else() -> None:
    identities = json.loads(COMPOSE["configs"]["s3-identities"]["content"])["identities"]
    url = urlsplit(DEFAULT.s3_url)
    assert [identity["credentials"] for identity in identities] == [[{"accessKey": url.username, "secretKey": url.password}]]


def test_volumes_are_declared() -> None:
    mounted = {mount.split(":")[0] for service in SERVICES.values() for mount in service.get("volumes", [])}
    assert {name for name in mounted if not name.startswith(".")} == set(COMPOSE["volumes"])


def test_grafana_has_the_plugin_and_its_datasource() -> None:
    plugin = SERVICES["grafana"]["environment"]["GF_INSTALL_PLUGINS"]
    sources = yaml.safe_load(COMPOSE["configs"]["grafana-datasource"]["content"])["datasources"]
    assert [source["type"] for source in sources] == [plugin]
