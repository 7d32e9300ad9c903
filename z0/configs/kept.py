"""
What is remembered because it takes time to find. Owns: that it does not grow for ever.
"""

from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Kept(dict[K, V]):
    """Answers that can be found anew: all of them are forgotten where one more would be too many."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most
        self._weight = 0

    def keep(self, key: K, value: V, weight: int = 1) -> V:
        """Remember an answer. What was taken out since weighs on: it makes the forgetting earlier, never later."""
        if self._weight + weight > self._most:
            self.clear()
        self._weight += weight
        self[key] = value
        return value

    def clear(self) -> None:
        """Forget all of them."""
        super().clear()
        self._weight = 0
