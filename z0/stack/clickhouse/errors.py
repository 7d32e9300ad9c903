"""
ClickHouse's errors: code, name, HTTP status. Owns: reading them out of the engine's text and writing them as a server does.
Does not own: the engine's own messages, which pass through unchanged.
"""

import re
from typing import Final

from z0.errors import Z0Error

SYNTAX_ERROR: Final = (62, "SYNTAX_ERROR")
BAD_ARGUMENTS: Final = (36, "BAD_ARGUMENTS")
NOT_IMPLEMENTED: Final = (48, "NOT_IMPLEMENTED")
UNKNOWN_SETTING: Final = (115, "UNKNOWN_SETTING")
TOO_MANY_QUERIES: Final = (202, "TOO_MANY_SIMULTANEOUS_QUERIES")
CANNOT_DECOMPRESS: Final = (271, "CANNOT_DECOMPRESS")
QUERY_IS_TOO_LARGE: Final = (229, "QUERY_IS_TOO_LARGE")
AUTHENTICATION_FAILED: Final = (516, "AUTHENTICATION_FAILED")
STD_EXCEPTION: Final = (1001, "STD_EXCEPTION")
# A file that cannot be written or opened, no memory, no room, too many parts, a broken constraint.
OF_STORAGE: Final = frozenset({75, 76, 241, 243, 252, 469})

_CODE = re.compile(r"Code: (\d+)\. DB::Exception: ")
_VERSION_TAIL = re.compile(r"\s*\(version [^()]*\)\s*$")

# The same table as the server's own `exceptionCodeToHTTPStatus`; what is not listed is 500.
_STATUS_CODES: Final = {
    400: (6, 8, 15, 25, 26, 27, 36, 37, 38, 41, 44, 53, 62, 72, 117, 123, 167, 168, 223, 321, 376, 427, 441, 675, 676),
    401: (194,),
    403: (192, 193, 497, 512, 516),
    404: (46, 47, 50, 56, 60, 63, 73, 78, 81, 115, 152, 336, 511),
    408: (159,),
    413: (229,),
    501: (48,),
    503: (76, 209, 439),
}
STATUS_OF: Final = {code: status for status, codes in _STATUS_CODES.items() for code in codes}


class EngineError(Z0Error):
    """A query that ClickHouse refuses, with its code."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text

    @property
    def status(self) -> int:
        return STATUS_OF.get(self.code, 500)

    def body(self, version: str) -> bytes:
        """As the server writes it: one line that ends with the version."""
        return f"{_VERSION_TAIL.sub('', self.text)} (version {version})\n".encode()


def refuse(kind: tuple[int, str], message: str) -> EngineError:
    """An error of our own, in the engine's words."""
    code, name = kind
    return EngineError(code, f"Code: {code}. DB::Exception: {message} ({name})")


def from_engine(text: str) -> EngineError:
    """What the engine raised. Some paths of it lose the prefix, so a code is always given."""
    found = _CODE.search(text)
    if found is None:
        return refuse(STD_EXCEPTION, text.strip() or "unknown error")
    return EngineError(int(found.group(1)), text[found.start() :].strip())
