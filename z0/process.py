"""
What a worker's process asks of Python and the C library, once, at its start. Owns: those settings and their reasons.
"""

import ctypes
import gc
from typing import Final

# The hot path makes no cycles, but many small objects that live for a while, and looking at one takes a microsecond: at 100,000
# new ones all callers waited 110 ms. All of them are looked at only when the process is asked to.
GC_THRESHOLDS: Final = (2_000, 50, 1_000_000)
# A fetch and a request for the broker are some megabytes, made and freed many times a second. By itself glibc gives such pieces
# back to the kernel each time, and every new one is 4 KiB at a time faulted in and zeroed: a tenth of a catch-up's time.
KEPT_FREE_BYTES: Final = 64 * 1024 * 1024
FROM_HEAP_BYTES_MAX: Final = 32 * 1024 * 1024  # the most that glibc takes; larger pieces come from the kernel and go back
_M_TRIM_THRESHOLD: Final = -1  # malloc.h
_M_MMAP_THRESHOLD: Final = -3


def collect_little() -> None:
    """The garbage collector looks at young objects, often, and at old ones nearly never."""
    gc.set_threshold(*GC_THRESHOLDS)


def keep_freed_memory() -> bool:
    """Freed memory stays with the process, up to a bound; False where the C library is not glibc and decides by itself."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, FROM_HEAP_BYTES_MAX) and mallopt(_M_TRIM_THRESHOLD, KEPT_FREE_BYTES))
