"""
Template strings such as `acct_{account}`. Owns: their syntax. Names only: no expressions, no formats, nothing to run.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

Value = str | int
_NAME = re.compile(r"\{([A-Za-z_][A-Za-z0-9_.\-]*)\}")


class Template(NamedTuple):
    """Literal text and names in turn: `parts[0]`, `names[0]`, `parts[1]`, ..., always one part more than names."""

    parts: tuple[str, ...]
    names: tuple[str, ...]

    def render(self, values: Mapping[str, Value]) -> Value:
        """The text with its names filled in; a template that is one name alone keeps the value's type."""
        if self.names and self.parts == ("", ""):
            return values[self.names[0]]
        out = [self.parts[0]]
        for name, part in zip(self.names, self.parts[1:], strict=True):
            out.append(str(values[name]))
            out.append(part)
        return "".join(out)


def parse(text: str) -> Template:
    """
    Parse a template.

    Raises:
        ValueError: a brace that belongs to no name.
    """
    pieces = _NAME.split(text)
    parts, names = tuple(pieces[::2]), tuple(pieces[1::2])
    if any("{" in part or "}" in part for part in parts):
        raise ValueError(f"{text!r} has a brace that belongs to no {{name}}")
    return Template(parts, names)
