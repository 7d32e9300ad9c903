"""
Which programs make up the stack, in the order of their start. Owns: that list, and z0's own processes in it.

Does not own: how a server is set up (`kafka`, `postgres`, `clickhouse`, `s3`), or running them (`z0.stack.control`).
"""

import sys
from collections.abc import Callable, Mapping
from functools import partial
from urllib.parse import urlsplit

from z0 import names
from z0.config import Config, variable
from z0.errors import StackError
from z0.stack import health, kafka, layout, postgres, s3
from z0.stack.program import Program

# -P: the working folder is not searched for modules
PYTHON = (sys.executable, "-P", "-m")
MIGRATE = (*PYTHON, "z0", "migrate")
SINKS = (names.SINK_POSTGRES, names.SINK_CLICKHOUSE, names.SINK_ARCHIVE, names.SINK_CONFIGS)


def programs(config: Config) -> tuple[Program, ...]:
    """Every program in the order of its start; stopping goes backwards."""
    return (*servers(config), *own(config))


def servers(config: Config) -> tuple[Program, ...]:
    return (*kafka.programs(config), postgres.program(config), _clickhouse(config), s3.program(config))


def own(config: Config) -> tuple[Program, ...]:
    """z0's own processes: they hold no data that the servers do not, and need the migration first."""
    workers = (_worker(config, number) for number in range(1, config.workers + 1))
    return (*workers, _api(config), *(_sink(config, name) for name in SINKS))


def find(config: Config, name: str) -> Program:
    """
    Raises:
        StackError: there is no such program.
    """
    known = {program.name: program for program in programs(config)}
    if name not in known:
        raise StackError(f"there is no program {name!r}; there are {', '.join(known)}")
    return known[name]


def environment(config: Config) -> Mapping[str, str]:
    """The settings as variables, so that the processes see this very `Config` and not what the shell happens to hold."""
    values = {name: getattr(config, name) for name in type(config).model_fields}
    values["home"] = layout.of(config).home
    if config.door_secret is not None:
        values["door_secret"] = config.door_secret.get_secret_value()
    return {variable(name): str(value) for name, value in values.items() if value is not None}


def _clickhouse(config: Config) -> Program:
    url = urlsplit(config.clickhouse_url)
    base = f"{url.scheme}://{url.netloc.rpartition('@')[2]}"
    probe = partial(health.http_ok, f"{base}/ping")
    if config.clickhouse:
        return Program("clickhouse", base, probe)
    data = layout.of(config).data("clickhouse")
    return Program(
        name="clickhouse",
        address=base,
        healthy=probe,
        command=lambda: (*PYTHON, "z0.stack.clickhouse", "--port", str(config.clickhouse_port), "--data", str(data)),
        ports={config.clickhouse_port: variable("clickhouse_port")},
    )


def _worker(config: Config, number: int) -> Program:
    mine = worker_config(config, number)
    host, port = _reachable(mine.door_host), mine.door_port
    name = "worker" if number == 1 else f"worker-{number}"
    ports = {port: variable("door_port")}
    return _own(mine, name, "worker", address=f"{host}:{port}", healthy=partial(health.tcp, host, port), ports=ports)


def worker_config(config: Config, number: int) -> Config:
    """The settings of one of several workers: a name and a door of its own. The first has those that were given."""
    if number == 1:
        return config
    return config.model_copy(update={"worker_id": f"{config.worker_id}-{number}", "door_port": config.door_port + number - 1})


def _api(config: Config) -> Program:
    url = f"http://{_reachable(config.api_host)}:{config.api_port}"
    ports = {config.api_port: variable("api_port")}
    return _own(config, "api", "api", address=url, healthy=partial(health.http_ok, f"{url}/healthz"), ports=ports)


def _sink(config: Config, name: str) -> Program:
    return _own(config, f"sink-{name}", "sink", name, address="", healthy=_runs, ports={})


def _own(
    config: Config, name: str, *arguments: str, address: str, healthy: Callable[[float], bool], ports: Mapping[int, str]
) -> Program:
    settings = environment(config)
    return Program(name, address, healthy, lambda: (*PYTHON, "z0", *arguments), own=True, ports=ports, settings=settings)


def _runs(_timeout: float) -> bool:
    """A sink listens nowhere: that supervisord sees it running is all there is to ask."""
    return True


def _reachable(host: str) -> str:
    """An address to connect to, for one that was bound."""
    return "127.0.0.1" if host in ("0.0.0.0", "::", "") else host  # noqa: S104 - compared, not bound
