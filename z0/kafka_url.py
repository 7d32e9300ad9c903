"""
How a Kafka is reached. Owns: the form of `Z0_KAFKA`, what Kafka's client is given of it, what of it may be shown.

    host:port,host:port                                          in the clear
    ssl://host:port,host:port?ca=FILE                            TLS; without `ca` the machine's own authorities are believed
    ssl://host:port?ca=FILE&certificate=FILE&key=FILE            TLS, and this side shows a certificate, too
    sasl_ssl://user:password@host:port?mechanism=SCRAM-SHA-512   TLS and a login
    sasl_plaintext://user:password@host:port                     a login in the clear

The schemes are Kafka's `security.protocol` in small letters; what a URL reserves in a name or password is written in percent.
Host names are always checked against the certificate. Nothing here opens a connection.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from z0.errors import SettingsError

if TYPE_CHECKING:
    from ssl import SSLContext

FORM: Final = "host:port,host:port or sasl_ssl://user:password@host:port,host:port?mechanism=SCRAM-SHA-512&ca=FILE"
PLAINTEXT: Final = "PLAINTEXT"
PROTOCOLS: Final = {"ssl": "SSL", "sasl_ssl": "SASL_SSL", "sasl_plaintext": "SASL_PLAINTEXT"}
MECHANISMS: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
FILES: Final = ("ca", "certificate", "key")
CONTEXTS_MAX: Final = 8  # one a URL, and a process has one


@dataclass(frozen=True, slots=True)
class KafkaUrl:
    """`Z0_KAFKA` taken apart."""

    servers: str  # host:port,host:port
    protocol: str = PLAINTEXT  # Kafka's `security.protocol`
    user: str = ""
    password: str = field(default="", repr=False)
    mechanism: str = MECHANISMS[0]
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    @property
    def has_tls(self) -> bool:
        """Whether what is sent is encrypted."""
        return self.protocol.endswith("SSL")

    @property
    def has_login(self) -> bool:
        """Whether a name and password are asked for."""
        return self.protocol.startswith("SASL")


def parse(url: str) -> KafkaUrl:
    """Take one apart in which `problems` finds none."""
    if "://" not in url:
        return KafkaUrl(url)
    scheme, at = _split(url)
    asked = parse_qs(at.query)
    files = {name: Path(asked[name][0]) for name in FILES if name in asked}
    return KafkaUrl(
        at.netloc.rpartition("@")[2],
        PROTOCOLS[scheme],
        unquote(at.username or ""),
        unquote(at.password or ""),
        asked.get("mechanism", MECHANISMS)[0],
        **files,
    )


def problems(url: str) -> Iterator[str]:
    """What is wrong with one, all of it, and never with what was given of name and password."""
    if "://" not in url:
        yield from _of_servers(url)
        return
    try:
        scheme, at = _split(url)
    except ValueError:  # a bracket that is not closed
        yield f"not of the form {FORM}"
        return
    if scheme not in PROTOCOLS:
        yield f"{scheme}:// is none of {', '.join(f'{known}://' for known in PROTOCOLS)}"
        return
    yield from _of_servers(at.netloc.rpartition("@")[2] + at.path)
    yield from _of_login(scheme, at)
    yield from _of_parameters(scheme, at.query)


def _split(url: str) -> tuple[str, SplitResult]:
    """The scheme apart: no URL's may hold the underscore that Kafka's protocols have."""
    scheme, _, rest = url.partition("://")
    return scheme, urlsplit(f"//{rest}", allow_fragments=False)


def is_server(text: str) -> bool:
    """Whether it is a host, with or without a port."""
    try:
        at = urlsplit(f"//{text.strip()}")
        return bool(at.hostname) and at.port != 0
    except ValueError:  # a port that is none
        return False


def _of_servers(servers: str) -> Iterator[str]:
    if not all(is_server(server) and not set("@/") & set(server) for server in servers.split(",")):
        yield f"not of the form {FORM}"


def _of_login(scheme: str, at: SplitResult) -> Iterator[str]:
    if not scheme.startswith("sasl"):
        if "@" in at.netloc:
            yield f"{scheme}:// takes no user and password; sasl_{scheme}:// does"
    elif not (at.username and at.password):
        yield f"{scheme}:// needs user:password@ before the servers"


def _of_parameters(scheme: str, query: str) -> Iterator[str]:
    known = (*FILES * scheme.endswith("ssl"), *("mechanism",) * scheme.startswith("sasl"))
    asked = {name: values[0] for name, values in parse_qs(query, keep_blank_values=True).items()}
    for name, given in asked.items():
        if name not in known:
            yield f"{scheme}:// takes {', '.join(known)}, not {name}"
        elif name == "mechanism" and given not in MECHANISMS:
            yield f"mechanism={given} is none of {', '.join(MECHANISMS)}"
        elif name in FILES and not Path(given).is_file():
            yield f"{name}={given}: there is no such file"
    if "key" in asked and "certificate" not in asked:
        yield "key: needs certificate, too"


def options(url: str) -> dict[str, Any]:
    """
    What every one of aiokafka's clients is given to reach it: servers, protocol, login, TLS.

    Raises:
        SettingsError: a file of it holds no certificate or key.
    """
    at = parse(url)
    given: dict[str, Any] = {"bootstrap_servers": at.servers, "security_protocol": at.protocol}
    if at.has_login:
        given |= {"sasl_mechanism": at.mechanism, "sasl_plain_username": at.user, "sasl_plain_password": at.password}
    if at.has_tls:
        given["ssl_context"] = tls(at)
    return given


@lru_cache(CONTEXTS_MAX)
def tls(at: KafkaUrl) -> "SSLContext":
    """
    The machine's authorities or those of `ca`, host names checked; read once by a process.

    Raises:
        SettingsError: a file of it holds no certificate or key.
    """
    import ssl  # here: most of the commands that read settings need none

    try:
        context = ssl.create_default_context(cafile=at.ca)
        if at.certificate is not None:
            context.load_cert_chain(at.certificate, at.key)
    except OSError as error:  # ssl's own errors, too
        raise SettingsError([f"Z0_KAFKA: no certificate or key in what ca, certificate and key name: {error}"]) from error
    return context


def shown(url: str) -> str:
    """It without name and password, for people to see."""
    scheme, found, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}" if found else url
