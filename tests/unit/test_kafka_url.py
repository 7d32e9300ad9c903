"""How a Kafka is reached: every documented form, and what is said of one that is none."""

from pathlib import Path

import pytest
import trustme

from z0.errors import SettingsError
from z0.kafka_url import KafkaUrl, options, parse, problems, shown


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """An authority, and a certificate of its own with its key."""
    authority = trustme.CA()
    own = authority.issue_cert("client.z0.test")
    paths = {name: tmp_path / f"{name}.pem" for name in ("ca", "certificate", "key")}
    authority.cert_pem.write_to_path(paths["ca"])
    own.cert_chain_pems[0].write_to_path(paths["certificate"])
    own.private_key_pem.write_to_path(paths["key"])
    return paths


def test_servers_alone_are_reached_in_the_clear() -> None:
    """As every Kafka client writes them."""
    assert options("one:9092, [::1]:9092") == {"bootstrap_servers": "one:9092, [::1]:9092", "security_protocol": "PLAINTEXT"}


def test_a_login_may_hold_what_a_url_reserves() -> None:
    """In percent; the servers stay a list."""
    url = "sasl_plaintext://me%40here:p%2Fw%3Ard%3F@one:9092,two:9092?mechanism=SCRAM-SHA-256"
    assert list(problems(url)) == []
    assert parse(url) == KafkaUrl("one:9092,two:9092", "SASL_PLAINTEXT", "me@here", "p/w:rd?", "SCRAM-SHA-256")


def test_tls_believes_the_named_authority_shows_the_certificate_and_checks_the_name(files: dict[str, Path]) -> None:
    """And is read once, whoever connects."""
    url = "ssl://one:9093?" + "&".join(f"{name}={path}" for name, path in files.items())
    assert list(problems(url)) == []
    context = options(url)["ssl_context"]
    assert context.check_hostname
    assert context.cert_store_stats()["x509_ca"] == 1
    assert options(url)["ssl_context"] is context


def test_a_file_without_a_certificate_is_a_wrong_setting(tmp_path: Path) -> None:
    """Not a traceback of the first connection."""
    (tmp_path / "ca").write_text("none")
    with pytest.raises(SettingsError, match="Z0_KAFKA: no certificate or key"):
        options(f"ssl://one:9093?ca={tmp_path / 'ca'}")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sasl_ssl://one:9093", ["sasl_ssl:// needs user:password@ before the servers"]),
        ("sasl_ssl://hunter1:@one:9093", ["sasl_ssl:// needs user:password@ before the servers"]),
        ("ssl://hunter1:hunter2@one:9093", ["ssl:// takes no user and password; sasl_ssl:// does"]),
        ("http://one:9093", ["http:// is none of ssl://, sasl_ssl://, sasl_plaintext://"]),
        ("ssl://one:9093?ca=/nowhere", ["ca=/nowhere: there is no such file"]),
        ("ssl://one:9093?mechanism=PLAIN", ["ssl:// takes ca, certificate, key, not mechanism"]),
        (
            "sasl_plaintext://u:hunter2@one:9093?mechanism=GSSAPI&ca=/x",
            ["mechanism=GSSAPI is none of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512", "sasl_plaintext:// takes mechanism, not ca"],
        ),
        (f"ssl://one:9093?key={__file__}", ["key: needs certificate, too"]),
    ],
)
def test_everything_that_is_wrong_is_said_and_no_password(url: str, said: list[str]) -> None:
    """All at once."""
    assert list(problems(url)) == said


@pytest.mark.parametrize(
    "url", ["ssl://", "ssl://one:x", "ssl://[::1:9092", "sasl_ssl://u:hunter2/more@one:9092", "ssl://one/topic"]
)
def test_servers_that_are_none_are_refused_by_the_form(url: str) -> None:
    """Also where a password's slash, which should be written in percent, ends them."""
    (first, *_) = problems(url)
    assert first.startswith("not of the form host:port,host:port or sasl_ssl://user:password@")
    assert not any("hunter2" in problem for problem in problems(url))


def test_what_is_shown_has_no_password() -> None:
    """In `z0 status`; and not where the settings themselves are printed in a traceback."""
    assert shown("sasl_ssl://u:hunter2@one:9093?mechanism=PLAIN") == "sasl_ssl://one:9093?mechanism=PLAIN"
    assert shown("one:9092") == "one:9092"
    assert "hunter2" not in repr(parse("sasl_ssl://u:hunter2@one:9093"))
