"""
Who may ask. Owns: reading credentials and comparing them. Does not own: rights; the one user may do everything.
"""

import hmac
from collections.abc import Mapping

from aiohttp import BasicAuth

from z0.stack.clickhouse import errors
from z0.stack.clickhouse.config import Account


def check(account: Account, headers: Mapping[str, str], query: Mapping[str, str]) -> None:
    """Refuse as the server does: the message does not say which of the two was wrong."""
    user, password = _given(headers, query)
    if user == account.user and hmac.compare_digest(password.encode(), account.password.encode()):
        return
    raise errors.refuse(
        errors.AUTHENTICATION_FAILED,
        f"{user}: Authentication failed: password is incorrect, or there is no user with such name.",
    )


def _given(headers: Mapping[str, str], query: Mapping[str, str]) -> tuple[str, str]:
    """Headers first, then basic auth, then parameters; nothing at all is the user `default` without a password."""
    if "X-ClickHouse-User" in headers or "X-ClickHouse-Key" in headers:
        return headers.get("X-ClickHouse-User", "default"), headers.get("X-ClickHouse-Key", "")
    if "Authorization" in headers:
        return _basic(headers["Authorization"])
    return query.get("user", "default"), query.get("password", "")


def _basic(header: str) -> tuple[str, str]:
    try:
        auth = BasicAuth.decode(header, encoding="utf-8")
    except ValueError:
        raise errors.refuse(errors.AUTHENTICATION_FAILED, "Invalid authentication: only HTTP Basic is served.") from None
    return auth.login, auth.password
