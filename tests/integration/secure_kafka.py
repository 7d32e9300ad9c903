"""A Kafka that lets in only who is known, over TLS. Owns: its certificates, its users, its process and its end."""

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, urlencode

import trustme
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from z0.bench.cluster import free_ports
from z0.bench.processes import running_program
from z0.config import Config
from z0.stack import kafka, layout
from z0.stack.kafka import jars

USER = "z0"
PASSWORD = "p@ss/w:rd?"
SCRAM = "SCRAM-SHA-512"
MODULES = "org.apache.kafka.common.security"


class SecureKafka(NamedTuple):
    """Where it is, and what to show it."""

    login: str  # host:port that asks for a login
    certified: str  # host:port that asks for a certificate
    folder: Path

    def by_login(self, mechanism: str, *, user: str = USER, password: str = PASSWORD, ca: str = "ca.pem") -> str:
        """The `Z0_KAFKA` of a login."""
        asked = urlencode({"mechanism": mechanism, "ca": self.folder / ca})
        return f"sasl_ssl://{quote(user, safe='')}:{quote(password, safe='')}@{self.login}?{asked}"

    def by_certificate(self) -> str:
        """The `Z0_KAFKA` of a certificate."""
        files = {name: self.folder / f"{name}.pem" for name in ("ca", "certificate", "key")}
        return f"ssl://{self.certified}?{urlencode(files)}"


@contextmanager
def secure_kafka(folder: Path, with_jars: Config) -> Iterator[SecureKafka]:
    """Start one with the jars of a stack that is there."""
    own, controller, login, certified = free_ports(4)
    at = SecureKafka(f"127.0.0.1:{login}", f"127.0.0.1:{certified}", folder)
    _certificates(folder)
    settings = folder / "server.properties"
    config = Config(home=folder, kafka_port=own, kafka_controller_port=controller)
    settings.write_text("".join(f"{name}={value}\n" for name, value in _settings(config, at).items()))
    java = (jars.java(), *kafka.JVM, "-cp", f"{jars.libs(layout.of(with_jars).data('kafka'))}/*")
    user = f"{SCRAM}=[name={USER},password={PASSWORD}]"
    storage = (
        *java,
        "kafka.tools.StorageTool",
        "format",
        "-t",
        "z0SecureKafkaOfATestA",
        "-c",
        str(settings),
        "--add-scram",
        user,
    )
    subprocess.run(storage, check=True, capture_output=True)
    with running_program((*java, "kafka.Kafka", str(settings)), {}, folder / "kafka.log"):
        yield at


def _settings(config: Config, at: SecureKafka) -> Mapping[str, object]:
    local = dict(kafka.settings(config, at.folder))
    secure = f"LOGIN://{at.login},CERTIFIED://{at.certified}"
    return local | {
        "listeners": f"{local['listeners']},{secure}",
        "advertised.listeners": f"{local['advertised.listeners']},{secure}",
        "listener.security.protocol.map": f"{local['listener.security.protocol.map']},LOGIN:SASL_SSL,CERTIFIED:SSL",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": at.folder / "broker.pem",
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": at.folder / "ca.pem",
        "listener.name.certified.ssl.client.auth": "required",
        "listener.name.login.sasl.enabled.mechanisms": f"PLAIN,{SCRAM}",
        f"listener.name.login.{SCRAM.lower()}.sasl.jaas.config": f"{MODULES}.scram.ScramLoginModule required;",
        "listener.name.login.plain.sasl.jaas.config": f'{MODULES}.plain.PlainLoginModule required user_{USER}="{PASSWORD}";',
    }


def _certificates(folder: Path) -> None:
    authority, stranger = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    stranger.cert_pem.write_to_path(folder / "stranger.pem")
    broker, client = authority.issue_cert("127.0.0.1"), authority.issue_cert("client.z0.test")
    chain = b"".join(blob.bytes() for blob in broker.cert_chain_pems)
    (folder / "broker.pem").write_bytes(_pkcs8(broker.private_key_pem.bytes()) + chain)
    client.cert_chain_pems[0].write_to_path(folder / "certificate.pem")
    client.private_key_pem.write_to_path(folder / "key.pem")


def _pkcs8(key: bytes) -> bytes:
    """The only form that Kafka reads."""
    return load_pem_private_key(key, None).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
