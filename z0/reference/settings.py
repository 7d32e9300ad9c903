"""The page of settings. Owns: its form; names, defaults and meanings stand in `z0.config`."""

from typing import Final, get_args

from pydantic.fields import FieldInfo

from z0.config import fields, variable
from z0.reference.text import page, table

INTRO: Final = """Settings are environment variables, read once when a process starts. All problems are reported at once,
each with the variable's name; a variable that begins with `Z0_` and is none of these is refused."""


def settings_page() -> str:
    """`settings.md`."""
    rows = [(f"`{variable(name)}`", _default(field), _values(field), field.description or "") for name, field in fields().items()]
    return page("Settings", INTRO, table(("variable", "default", "values", "meaning"), rows))


def _default(field: FieldInfo) -> str:
    return "unset" if field.default is None else f"`{field.default}`"


def _values(field: FieldInfo) -> str:
    choices = [arg for arg in get_args(field.annotation) if isinstance(arg, str)]
    if choices:
        return ", ".join(f"`{choice}`" for choice in choices)
    least, most, pattern = (_bound(field, name) for name in ("ge", "le", "pattern"))
    if pattern is not None:
        return f"`{pattern}`"
    if least is not None and most is not None:
        return f"{least} to {most}"
    return "above 0" if _bound(field, "gt") == "0" else ""


def _bound(field: FieldInfo, name: str) -> str | None:
    found = (getattr(meta, name, None) for meta in field.metadata)
    return next((str(value) for value in found if value is not None), None)
