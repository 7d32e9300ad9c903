"""
Compressed bodies. Owns: the content encodings of requests and replies. Does not own: ClickHouse's own block
compression (`compress=1`), which is not spoken here.
"""

import gzip
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Final, Protocol, cast

import lz4.frame  # type: ignore[import-untyped] # it ships no types

from z0.stack.clickhouse import errors

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

# Below this a compressed reply saves nothing worth the time.
SMALL: Final = 1024


class _Decompressor(Protocol):
    eof: bool

    @property
    def unused_data(self) -> bytes | None: ...

    def decompress(self, data: bytes, /) -> bytes: ...


_DECODERS: Final[Mapping[str, Callable[[], _Decompressor]]] = {
    "gzip": lambda: cast(_Decompressor, zlib.decompressobj(wbits=31)),
    "deflate": lambda: cast(_Decompressor, zlib.decompressobj()),
    "zstd": lambda: cast(_Decompressor, zstd.ZstdDecompressor()),
    "lz4": lambda: cast(_Decompressor, lz4.frame.LZ4FrameDecompressor()),
}
_ENCODE: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "lz4": lz4.frame.compress,
    "zstd": zstd.compress,
    "gzip": lambda data: gzip.compress(data, compresslevel=3),
    "deflate": lambda data: zlib.compress(data, level=3),
}


def decoded(data: bytes, encoding: str) -> bytes:
    """The plain body of a request."""
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return data
    if name not in _DECODERS:
        raise errors.refuse(errors.NOT_IMPLEMENTED, f"Unknown content encoding: {encoding}.")
    try:
        return b"".join(_frames(data, _DECODERS[name]))
    except (OSError, EOFError, zlib.error, zstd.ZstdError, RuntimeError) as error:
        raise errors.refuse(errors.CANNOT_DECOMPRESS, f"Cannot decompress the request body as {name}: {error}.") from None


def _frames(data: bytes, decoder: Callable[[], _Decompressor]) -> Iterator[bytes]:
    """Every frame of the body: clients send one per block, and a reader of the first alone would lose the rest unnoticed."""
    rest: bytes | None = data
    while rest:
        frame = decoder()
        yield frame.decompress(rest)
        if not frame.eof:
            raise EOFError("the body ends inside a frame")
        rest = frame.unused_data


def chosen(accepted: str) -> str:
    """The first encoding the client names that is known here; none is the empty string."""
    names = [part.partition(";") for part in accepted.lower().split(",")]
    wanted = [name.strip() for name, _, quality in names if quality.replace(" ", "") not in ("q=0", "q=0.0")]
    return next((name for name in wanted if name in _ENCODE), "")


def encoded(body: bytes, encoding: str) -> tuple[bytes, str]:
    """The reply's body, and the encoding that was really used."""
    if not encoding or len(body) < SMALL:
        return body, ""
    return _ENCODE[encoding](body), encoding
