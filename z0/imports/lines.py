"""
Lines of a text file. Owns: that a row takes a bounded part of memory, however long its lines are. Does not own: what a row is.
"""

from io import TextIOWrapper
from typing import Final

ROW_CHARS_MAX: Final = 1_000_000  # four times the longest command; a file without line ends is one bad row
PREVIEW_CHARS: Final = 500


class RowTooLong(ValueError):
    """More than a row may have; the rest of the line was passed over, and the next one can be read."""

    def __init__(self, preview: str) -> None:
        super().__init__(f"longer than {ROW_CHARS_MAX:,} characters")
        self.preview: Final = preview


class Lines:
    """An iterator over lines, numbered as an editor does; a row may be several of them (a CSV's quoted line breaks)."""

    def __init__(self, file: TextIOWrapper) -> None:
        self._file = file
        self._left = ROW_CHARS_MAX
        self._passed_cr = False  # a line was passed over up to a CR: it may be the first half of its end
        self.number = 0

    def __iter__(self) -> "Lines":
        return self

    def __next__(self) -> str:
        """
        Read a line.

        Raises:
            RowTooLong: with it the row has too many characters.
        """
        text = self._file.readline(self._left + 1)
        if self._passed_cr and text == "\n":
            text = self._file.readline(self._left + 1)
        self._passed_cr = False
        if not text:
            raise StopIteration
        self.number += 1
        self._left -= len(text)
        if self._left < 0:
            self._pass_over(text)
            raise RowTooLong(text[:PREVIEW_CHARS])
        return text

    def begin_row(self) -> int:
        """The number of the line that a new row begins on."""
        self._left = ROW_CHARS_MAX
        return self.number + 1

    def _pass_over(self, text: str) -> None:
        while text and not text.endswith(("\r", "\n")):
            text = self._file.readline(ROW_CHARS_MAX)
        self._passed_cr = text.endswith("\r")
