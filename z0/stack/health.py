"""
Does a server answer? Owns: one quick question per kind of server. Does not own: waiting, time limits, what to do then.

Every probe takes a time-out and answers yes or no; a broken connection is a no.
"""

import asyncio
import http.client
import socket
import struct
import urllib.error
import urllib.request

from z0 import kafka_url

# Metadata request, version 1, correlation id 1, no client id, no topics: "which brokers are there?"
METADATA_REQUEST = struct.pack(">hhihi", 3, 1, 1, -1, 0)


def tcp(host: str, port: int, timeout: float) -> bool:
    try:
        with socket.create_connection((host, port), timeout):
            return True
    except OSError:
        return False


def http_ok(url: str, timeout: float) -> bool:
    """Any answer below 500: a refused login also shows that the server works."""
    try:
        with urllib.request.urlopen(url, timeout=timeout):  # noqa: S310 - the address comes from our own settings
            return True
    except urllib.error.HTTPError as error:
        return error.code < 500
    except (OSError, http.client.HTTPException, ValueError):
        return False


def postgres(url: str, timeout: float) -> bool:
    import psycopg  # here, because the ClickHouse server's process loads this package too and has no use for it

    try:
        # libpq counts whole seconds and takes 1 as 2
        with psycopg.connect(url, connect_timeout=max(2, round(timeout))) as connection:
            connection.execute("SELECT 1")
            return True
    except psycopg.Error:
        return False


def kafka(url: str, timeout: float) -> bool:
    """True when one of the servers names at least one broker: only then it takes records, an open port is too early."""
    at = kafka_url.parse(url)
    if at.protocol != kafka_url.PLAINTEXT:
        return asyncio.run(_kafka_lets_in(url, timeout))
    return any(_kafka_brokers(server.strip(), timeout) > 0 for server in at.servers.split(","))


async def _kafka_lets_in(url: str, timeout: float) -> bool:
    """By Kafka's client, which knows TLS and logins."""
    from aiokafka.client import AIOKafkaClient  # here, as Postgres's
    from aiokafka.errors import KafkaError

    client = AIOKafkaClient(**kafka_url.options(url), request_timeout_ms=round(timeout * 1000))
    try:
        async with asyncio.timeout(timeout):
            await client.bootstrap()
        return True
    except (KafkaError, TimeoutError):
        return False
    finally:
        await client.close()


def _kafka_brokers(server: str, timeout: float) -> int:
    host, _, port = server.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout) as connection:
            connection.sendall(struct.pack(">i", len(METADATA_REQUEST)) + METADATA_REQUEST)
            answer = _exactly(connection, 12)
    except (OSError, ValueError):
        return 0
    _size, _correlation, brokers = struct.unpack(">iii", answer)
    return int(brokers)


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        chunk = connection.recv(size - len(data))
        if not chunk:
            raise ConnectionError("closed in the middle of an answer")
        data += chunk
    return data
