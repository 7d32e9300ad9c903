"""
The way to S3. Owns: one bucket, conditional puts, and which errors pass by themselves. Calls block.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

import boto3
from botocore.config import Config as ClientConfig
from botocore.exceptions import BotoCoreError, ClientError

from sinks.base import StoreUnavailable
from z0.errors import SinkStopped, no_answer, refused

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

CONNECT_TIMEOUT_S: Final = 5  # then it is tried again, at growing intervals
ANSWER_TIMEOUT_S: Final = 60  # an object of 64 MiB takes a second; a minute means that nobody is there
_TRANSIENT: Final = frozenset({"SlowDown", "RequestTimeout", "ConditionalRequestConflict", "OperationAborted", "Throttling"})
_OURS_ALREADY: Final = frozenset({"BucketAlreadyOwnedByYou", "BucketAlreadyExists"})


class Address(NamedTuple):
    """The parts of `Config.s3_url`."""

    endpoint: str
    key: str
    secret: str
    bucket: str
    region: str


def address_of(url: str) -> Address:
    """Take a URL apart: `https://key:secret@host:port/bucket?region=auto`."""
    parts = urlsplit(url)
    region = parse_qs(parts.query).get("region", ["auto"])[0]
    endpoint = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    return Address(endpoint, unquote(parts.username or ""), unquote(parts.password or ""), parts.path.strip("/"), region)


class Bucket:
    """One bucket; objects are only ever added."""

    def __init__(self, url: str) -> None:
        self.address = address_of(url)
        self._client = _connect(self.address)

    def create(self) -> bool:
        """Make the bucket; False: it was there."""
        with _errors():
            try:
                self._client.create_bucket(Bucket=self.address.bucket)
            except ClientError as error:
                if _code(error) in _OURS_ALREADY:
                    return False
                raise
        return True

    def put_new(self, key: str, body: bytes) -> bool:
        """Put an object where there is none; False: there is one, which stays as it is."""
        with _errors():
            try:
                self._client.put_object(Bucket=self.address.bucket, Key=key, Body=body, IfNoneMatch="*")
            except ClientError as error:
                if _code(error) == "PreconditionFailed":
                    return False
                raise
        return True

    def get(self, key: str) -> bytes | None:
        """An object, or None where there is none."""
        with _errors():
            try:
                return self._client.get_object(Bucket=self.address.bucket, Key=key)["Body"].read()
            except ClientError as error:
                if _code(error) == "NoSuchKey":
                    return None
                raise

    def keys(self, prefix: str) -> list[str]:
        """Every key under a prefix, in order."""
        with _errors():
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.address.bucket, Prefix=prefix)
            return [item["Key"] for page in pages for item in page.get("Contents", [])]

    def folders(self, prefix: str) -> list[str]:
        """The next part of the keys under a prefix that ends with `/`."""
        with _errors():
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self.address.bucket, Prefix=prefix, Delimiter="/"
            )
            found = [item["Prefix"] for page in pages for item in page.get("CommonPrefixes", [])]
        return [folder.removeprefix(prefix).strip("/") for folder in found]

    def close(self) -> None:
        self._client.close()


def _connect(address: Address) -> "S3Client":
    return boto3.client(
        "s3",
        endpoint_url=address.endpoint,
        aws_access_key_id=address.key,
        aws_secret_access_key=address.secret,
        region_name=address.region,
        config=ClientConfig(
            connect_timeout=CONNECT_TIMEOUT_S,
            read_timeout=ANSWER_TIMEOUT_S,
            # Retries are the runner's: it knows that a put may be repeated, and it says that the store is down.
            retries={"mode": "standard", "total_max_attempts": 1},
            # Not every S3 knows the newer checksums; what is stored is proved by the manifest.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            s3={"addressing_style": "path"},
        ),
    )


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if status >= 500 or _code(error) in _TRANSIENT:
            raise StoreUnavailable(no_answer("S3", error)) from error
        raise SinkStopped(refused("S3", "a request", error)) from error
    except BotoCoreError as error:
        raise StoreUnavailable(no_answer("S3", error)) from error


def _code(error: ClientError) -> str:
    return error.response.get("Error", {}).get("Code", "")
