"""
Everything that is wrong with the shape of a JSON value. Owns: going through it member by member, as its class says.

msgspec stops at the first member that does not fit, which is all that a refusal needs; a person wants to correct them together.
"""

from collections.abc import Iterator
from typing import Annotated, Any, Final, Union, get_args, get_origin

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import FieldInfo, fields

Found = tuple[str, str]  # where, and what
_UNIONS: Final = (Union, type(int | None))  # the second is `types.UnionType`


def problems_of(of: type[Struct], raw: bytes, where: str) -> Iterator[Found]:
    """What is wrong with an object that should be of a class; members that it does not know are wrong too."""
    members = _read(dict[str, Raw], raw)
    if isinstance(members, str):
        yield where, members
        return
    known = {field.encode_name: field for field in fields(of)}
    for name in (name for name in members if name not in known):
        yield f"{where}.{name}", f"there is no such field; there are {', '.join(known)}"
    for name, field in known.items():
        yield from _of_member(field, members.get(name), f"{where}.{name}")


def _of_member(field: FieldInfo, raw: Raw | None, where: str) -> Iterator[Found]:
    if raw is not None:
        yield from _of_value(field.type, bytes(raw), where)
    elif field.required:
        yield where, "is missing"


def _of_value(of: Any, raw: bytes, where: str) -> Iterator[Found]:
    found = _read(of, raw)
    if isinstance(found, str):
        yield from list(_inside(_bare(of), raw, where)) or [(where, found)]


def _bare(of: Any) -> Any:
    """The type itself, without notes on it and without `None` beside it."""
    if get_origin(of) is Annotated:
        return _bare(get_args(of)[0])
    return _bare(get_args(of)[0]) if get_origin(of) in _UNIONS else of


def _inside(of: Any, raw: bytes, where: str) -> Iterator[Found]:
    """What is wrong in a list's or an object's members; nothing: the value itself is wrong."""
    kind, parts = get_origin(of), get_args(of)
    if kind is tuple and isinstance(parts[0], type) and issubclass(parts[0], Struct):
        items = _read(list[Raw], raw)
        for place, item in enumerate(items if not isinstance(items, str) else ()):
            yield from problems_of(parts[0], bytes(item), f"{where}.{place}")
    if kind is dict:
        members = _read(dict[str, Raw], raw)
        for name, value in members.items() if not isinstance(members, str) else ():
            text = _read(of, msgspec.json.encode({name: value}))
            if isinstance(text, str):
                yield f"{where}.{name}", text


def _read(of: Any, raw: bytes) -> Any:
    """The value, or in words why it is none; a text by itself is never asked for."""
    try:
        found = msgspec.json.decode(raw, type=of)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return str(error).partition(" - at `")[0]  # we say where ourselves
    return None if isinstance(found, str) else found
