"""What a worker's process asks of the C library: that it has the effect it is there for."""

import platform
import subprocess
import sys

import pytest

# Three pieces of 8 MiB at a time, as a fetch, its records and a request are; a fault brings one page of 4 KiB.
COUNT_FAULTS = """
import resource, sys
from z0.process import keep_freed_memory
if sys.argv[1] == "kept":
    assert keep_freed_memory()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def use():
    pieces = [bytes(8 << 20) for _ in range(3)]
    return len(b"".join(pieces))
use()
before = faults()
for _ in range(20):
    use()
print(faults() - before)
"""


def faults(how: str) -> int:
    """In a process of its own: the setting is the process's."""
    done = subprocess.run([sys.executable, "-c", COUNT_FAULTS, how], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries decide by themselves")
def test_memory_that_was_freed_is_used_again_and_not_asked_of_the_kernel() -> None:
    """What a worker makes and frees many times a second is not zeroed page by page each time."""
    assert faults("kept") < 10_000 < 100_000 < faults("given back")
