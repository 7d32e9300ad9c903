"""
SQL that this server writes itself. Owns: quoting. Does not own: the caller's SQL, which is never rewritten.
"""

import re
from collections.abc import Mapping

from z0.stack.clickhouse import errors

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def identifier(name: str) -> str:
    """A name, quoted so that it cannot be anything else."""
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def literal(text: str) -> str:
    """A string literal."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def set_statement(settings: Mapping[str, str]) -> str:
    """All settings in one statement; a name that is no name is an unknown setting, as it is for a server."""
    for name in settings:
        if not _NAME.fullmatch(name):
            raise errors.refuse(errors.UNKNOWN_SETTING, f"Unknown setting '{name}'.")
    return "SET " + ", ".join(f"{name} = {literal(value)}" for name, value in settings.items())
