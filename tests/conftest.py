"""What every test shares: the real stack, started once for the run, and a clean environment. Skips of stack tests fail in CI."""

import os
from collections.abc import Generator, Iterator

import pytest

from z0 import compiled
from z0 import stack as local
from z0.bench import cluster
from z0.config import Config, from_env

PORTS = ("kafka_port", "kafka_controller_port", "postgres_port", "clickhouse_port", "s3_port", "api_port", "door_port")
GIVEN = ("Z0_KAFKA", "Z0_POSTGRES", "Z0_CLICKHOUSE", "Z0_S3")


def pytest_sessionstart() -> None:
    """Modules that were compiled before their last change would be tested as they were."""
    if modules := compiled.stale():
        pytest.exit(f"compiled before their last change: {', '.join(modules)}; run `make env`", returncode=2)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What a test changes must be what runs."""
    if compiled.is_in_use():
        skip = pytest.mark.skip(reason="runs on the sources: Z0_COMPILED=0")
        for item in items:
            if item.get_closest_marker("plain"):
                item.add_marker(skip)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI a skipped test of the real stack is a failure: a silent skip would be a green lie."""
    report = yield
    if os.environ.get("CI") and report.skipped and item.get_closest_marker("stack") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped in CI: {report.longrepr}"
    return report


@pytest.fixture(scope="session", autouse=True)
def _clean_environment() -> Iterator[None]:
    """Settings of the shell do not reach the tests, but for the addresses of given servers."""
    patch = pytest.MonkeyPatch()
    for name in [name for name in os.environ if name.startswith("Z0_") and name not in GIVEN]:
        patch.delenv(name)
    yield
    patch.undo()


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory, _clean_environment: None) -> Iterator[Config]:
    """Kafka, Postgres, ClickHouse, S3, a worker, the API and the sinks; the settings to reach them."""
    config = from_env().model_copy(update={"home": tmp_path_factory.mktemp("stack"), "partitions": 4, **free_ports()})
    try:
        local.up(config, servers_only=False, report=lambda name, text: None)
        yield config
    finally:
        local.down(config, lambda name, text: None)


def free_ports() -> dict[str, int]:
    """A free port for each setting of one."""
    return dict(zip(PORTS, cluster.free_ports(len(PORTS)), strict=True))
