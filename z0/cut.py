"""Cutting a list into stretches by bytes. Owns: that one loop, for frames, batches of snapshots and requests with facts."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


def cut(items: Sequence[T], size: Callable[[T], int], bytes_max: int) -> Iterator[Sequence[T]]:
    """Stretches in order, each of at most `bytes_max` bytes or of one item; together they are the items."""
    start = total = 0
    for end, item in enumerate(items):
        if end > start and total + size(item) > bytes_max:
            yield items[start:end]
            start, total = end, 0
        total += size(item)
    if start < len(items):
        yield items[start:]
