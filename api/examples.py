"""Examples of the OpenAPI document. Owns: one believable request and response for every route; a test validates each of them."""

from typing import Any, Final

AS_OF: Final = {"partition": 3, "offset": 812}
ANSWER: Final[dict[str, Any]] = {
    "command_id": "order-7/hold",
    "outcome": "accepted",
    "repeated": False,
    "fact_id": "account_acct_123.42",
    "seq": 42,
    "available": "87.5",
    "currency": "USD",
    "reservation_id": "order-7/hold",
    "expires_at": 1_800_003_600_000,
    "as_of": AS_OF,
    "recorded_at": 1_800_000_000_000,
}


_LIMITS: Final[list[dict[str, Any]]] = [
    {"rule": "cap.cfg_daily/daily", "max": "50", "left": "37.5", "resets_at": 1_800_057_600_000},
    {"rule": "budget.USD", "max": "100", "left": "87.5"},
]
_ELIGIBILITY: Final = {
    "eligible": True,
    "outcome": "accepted",
    "amount": "12.5",
    "currency": "USD",
    "limits": _LIMITS,
    "configs": {"cfg_daily": 3},
}
_NOT_ELIGIBLE: Final = {
    "eligible": False,
    "outcome": "cap_exhausted",
    "rule": "cap.cfg_daily/daily",
    "amount": "40",
    "currency": "USD",
    "limits": _LIMITS,
    "configs": {"cfg_daily": 3},
}
DONE: Final = ANSWER | dict.fromkeys(("available", "currency", "reservation_id", "expires_at"))
HELD: Final = ANSWER | {"eligibility": _ELIGIBILITY}
ELIGIBLE: Final = DONE | dict.fromkeys(("fact_id", "seq")) | {"eligibility": _NOT_ELIGIBLE}


# FastAPI drops every null of the document, those of examples too; a mark stands for them until it is done.
_NULL: Final = "\x00null"


def marked(value: Any) -> Any:
    """A value with its nulls marked."""
    if isinstance(value, dict):
        return {name: marked(member) for name, member in value.items()}
    if isinstance(value, list):
        return [marked(member) for member in value]
    return _NULL if value is None else value


def unmarked(value: Any) -> Any:
    """The value that was marked."""
    if isinstance(value, dict):
        return {name: unmarked(member) for name, member in value.items()}
    if isinstance(value, list):
        return [unmarked(member) for member in value]
    return None if value == _NULL else value


def _request(summary: str, value: dict[str, Any]) -> dict[str, Any]:
    return {"example": {"summary": summary, "value": marked(value)}}


CREATE: Final = _request(
    "A customer's account",
    {"id": "acct_123", "subtype": "customer", "external_source": "crm", "external_id": "C-77", "data": {"name": "Ada"}},
)
UPDATE: Final = _request(
    "Clear the owner, add a field", {"changes": {"owner_id": None, "data": {"tier": "gold"}}, "expected_version": 3}
)
APPEND: Final = _request(
    "What a model's answer cost",
    {
        "type": "cost",
        "subtype": "llm",
        "amount": "0.000042",
        "currency": "USD",
        "source_id": "asset_asset_9.7",
        "data": {"tokens": 21},
    },
)
ADD: Final = _request("A deposit", {"amount": "100.00", "currency": "USD", "kind": "deposit"})
DEDUCT: Final = _request("Spend at once", {"amount": "12.50", "currency": "USD"})
RESERVE: Final = _request("Hold for ten minutes", {"amount": "12.50", "currency": "USD", "ttl_ms": 600_000})
CONFIRM: Final = _request("Spend part of it", {"amount": "9.99"})
RELEASE: Final = _request("Give it back", {"data": {"reason": "call dropped"}})
CHECK: Final = _request("Would this answer be paid for?", {"usage": {"input_tokens": "1200", "output_tokens": "300"}})
AUTHORIZE: Final = _request("Ask, and hold for ten minutes", {"amount": "12.50", "currency": "USD", "ttl_ms": 600_000})
SETTLE: Final = _request("The invoice is paid", {"stage": "settled", "data": {"invoice": "2027-01/17"}})
GRANT: Final = _request("Ada may operate it", {"grantee_id": "user_ada", "role": "operator"})
_SETTINGS: Final = {
    "limits": [{"name": "daily", "counts": "spend", "window": "day", "max_amount": "50.00", "currency": "USD"}],
    "timezone": "UTC",
}
PUT_CONFIG: Final = _request(
    "50 USD a day for every account",
    {"type": "cap", "scope": "tenant", "applies_to": "account", "settings": _SETTINGS, "expected_version": 2},
)
_RESERVE_COMMAND: Final = {"op": "reserve", "id": "order-7/hold", "entity_id": "acct_123", "amount": "12.50", "currency": "USD"}
COMMANDS: Final = _request("Reserve", _RESERVE_COMMAND)
BATCH: Final = _request(
    "A reservation and a cost",
    {
        "commands": [
            _RESERVE_COMMAND,
            {"op": "append", "ledger_id": "asset_asset_9", "type": "cost", "amount": "0.000042", "currency": "USD"},
        ]
    },
)
BATCH_ANSWER: Final[dict[str, Any]] = {
    "results": [
        {"index": 0, "status": 200, **ANSWER},
        {
            "index": 1,
            "status": 404,
            "code": "unknown_entity",
            "detail": "The tenant has no such entity. Another tenant's entity answers the same.",
            **dict.fromkeys(ANSWER),
            "command_id": "import-1/1",
            "outcome": "unknown_entity",
            "repeated": False,
            "as_of": AS_OF,
        },
    ]
}
ENTITY: Final[dict[str, Any]] = {
    "entity": {
        "id": "acct_123",
        "type": "account",
        "tenant_id": "tenant_acme",
        "subtype": "customer",
        "parent_id": None,
        "owner_id": None,
        "status": "active",
        "version": 3,
        "external_source": "crm",
        "external_id": "C-77",
        "data": {"name": "Ada"},
        "created_at": 1_799_000_000_000,
        "updated_at": 1_799_500_000_000,
    },
    "seq": 42,
    "head_hash": "9f" * 32,
    "recorded_at": 1_800_000_000_000,
    "budgets": {
        "USD": {
            "deposited": "100",
            "credits": "0",
            "spent": "0",
            "transferred_in": "0",
            "transferred_out": "0",
            "reserved": "12.5",
            "remaining": "100",
            "available": "87.5",
        }
    },
    "reservations": {
        "order-7/hold": {
            "currency": "USD",
            "amount": "12.5",
            "expires_at": 1_800_003_600_000,
            "created_at": 1_800_000_000_000,
            "workflow_id": None,
        }
    },
    "reservations_open": 1,
    "settlement": {"USD": {"prepaid": "100", "incurred": "4", "pending": "0"}},
    "charges": {"account_acct_123.40": {"currency": "USD", "amount": "4", "stage": "incurred", "incurred_at": 1_799_999_900_000}},
    "charges_open": 1,
    "caps": {"cfg_daily/daily": {"start": 1_799_971_200_000, "count": 3, "amount": "12.5"}},
    "access": {"user_ada": "operator"},
    "config": None,
    "as_of": AS_OF,
}
RESERVATIONS: Final[dict[str, Any]] = {
    "reservations": [
        {
            "reservation_id": "order-7/hold",
            "currency": "USD",
            "amount": "12.5",
            "created_at": 1_800_000_000_000,
            "expires_at": 1_800_003_600_000,
            "age_ms": 1_250,
            "workflow_id": None,
        }
    ],
    "open": 1,
    "next": None,
    "as_of": AS_OF,
}
CHARGES: Final[dict[str, Any]] = {
    "charges": [
        {
            "charge_id": "account_acct_123.40",
            "stage": "incurred",
            "currency": "USD",
            "amount": "4",
            "incurred_at": 1_799_999_900_000,
            "age_ms": 100_000,
        }
    ],
    "settlement": ENTITY["settlement"],
    "open": 1,
    "next": None,
    "as_of": AS_OF,
}
ACCESS: Final[dict[str, Any]] = {"access": [{"user_id": "user_ada", "role": "operator"}], "as_of": AS_OF}
CAPS: Final[dict[str, Any]] = {
    "limits": [
        {**_LIMITS[0], "counted": ENTITY["caps"]["cfg_daily/daily"]},
        {**_LIMITS[1], "resets_at": None, "counted": None},
    ],
    "configs": {"cfg_daily": 3},
    "as_of": AS_OF,
}
_CONFIG_VERSION: Final = {
    "config": {
        "id": "cfg_daily",
        "type": "cap",
        "scope": "tenant",
        "applies_to": "account",
        "tenant_id": "tenant_acme",
        "version": 3,
        "effective_at": 1_799_971_200_000,
        "settings": _SETTINGS,
    },
    "superseded_at": None,
    "fact_id": "config_cfg_daily.4",
    "recorded_at": 1_799_900_000_000,
}
CONFIG: Final[dict[str, Any]] = {**_CONFIG_VERSION, "complete": True, "as_of": AS_OF}
CONFIGS: Final[dict[str, Any]] = {"configs": [_CONFIG_VERSION], "at": 1_800_000_000_000, "next_after": None}
_SOURCE: Final = {"version": 1, "applies_to": "account", "effective_at": 1_799_971_200_000, "name": None, "is_off": False}
EFFECTIVE: Final[dict[str, Any]] = {
    "at": 1_800_000_000_000,
    "until": 1_802_563_200_000,
    "settings": {
        "routing": {
            "strategy": "first",
            "candidates": [
                {"asset_id": None, "tool_id": "tool_fast", "weight": None, "max_price": "0.02"},
                {"asset_id": None, "tool_id": "tool_slow", "weight": None, "max_price": None},
            ],
        }
    },
    "configs": [
        {**_SOURCE, "id": "cfg_allowed", "type": "routing", "scope": "platform"},
        {**_SOURCE, "id": "cfg_ours", "type": "routing", "scope": "tenant", "version": 4, "name": "cheap first"},
    ],
}
FACTS: Final[dict[str, Any]] = {
    "facts": [
        {
            "id": "account_acct_123.42",
            "ledger_id": "account_acct_123",
            "seq": 42,
            "type": "budget",
            "subtype": "reserved",
            "timestamp": 1_800_000_000_000,
            "recorded_at": 1_800_000_000_000,
            "tenant_id": "tenant_acme",
            "entity_id": "acct_123",
            "outcome": "accepted",
            "command_id": "order-7/hold",
            "digest": "3c" * 16,
            "rules": 1,
            "amount": "12.50",
            "currency": "USD",
            "available": "87.5",
            "reservation_id": "order-7/hold",
            "expires_at": 1_800_003_600_000,
            "epoch": 790,
            "offset": 812,
            "prev_hash": "00" * 32,
            "hash": "9f" * 32,
        }
    ],
    "next_after": None,
    "complete": True,
    "head_seq": 42,
    "as_of": AS_OF,
}
_BALANCE: Final = {
    "deposited": "100",
    "credits": "0",
    "spent": "0",
    "transferred_in": "0",
    "transferred_out": "0",
    "reserved": "0",
    "remaining": "100",
    "available": "100",
}
_BEFORE: Final = {
    "seq": 41,
    "status": "active",
    "version": 1,
    "balance": _BALANCE,
    "reservations_open": 0,
    "limits": [_LIMITS[0] | {"left": "50"}],
}
RECEIPT: Final[dict[str, Any]] = {
    "id": "account_acct_123.42",
    "ledger_id": "account_acct_123",
    "tenant_id": "tenant_acme",
    "command_id": "order-7/hold",
    "outcome": "accepted",
    "rule": None,
    "detail": None,
    "recorded_at": 1_800_000_000_000,
    "rules": 1,
    "configs": [
        {
            "id": "cfg_daily",
            "version": 3,
            "type": "cap",
            "scope": "tenant",
            "applies_to": "account",
            "effective_at": 1_799_900_000_000,
            "name": None,
            "fact_id": "config_cfg_daily.4",
            "intact": True,
        }
    ],
    "command": {
        "op": "reserve",
        "id": "order-7/hold",
        "tenant_id": "tenant_acme",
        "ledger_id": "account_acct_123",
        "amount": "12.5",
        "currency": "USD",
    },
    "digest": "0123456789abcdef0123456789abcdef",
    "digest_matches": True,
    "before": _BEFORE,
    "after": _BEFORE
    | {
        "seq": 42,
        "balance": _BALANCE | {"reserved": "12.5", "available": "87.5"},
        "reservations_open": 1,
        "limits": [_LIMITS[0]],
    },
    "bytes_equal": True,
    "why": None,
    "differences": [],
    "taken_from_record": [],
    "chain": {"holds": True, "facts": 42, "broken_at": None, "why": None, "followed": None},
    "position": {"partition": 3, "offset": 812, "epoch": 640},
    "read_from": "postgres",
    "fact": FACTS["facts"][0],
}


def _problem(status: int, code: str, title: str, detail: str, **more: Any) -> dict[str, Any]:
    instance = "/v1/entities/acct_123/reservations"
    head = {
        "type": f"urn:z0:problem:{code}",
        "title": title,
        "status": status,
        "code": code,
        "detail": detail,
        "instance": instance,
    }
    return head | more


def _refusal(status: int, code: str, title: str, detail: str, **more: Any) -> dict[str, Any]:
    nothing = dict.fromkeys(ANSWER) | {"command_id": "order-7/hold", "outcome": code, "repeated": False}
    return _problem(status, code, title, detail, **nothing | more)


PROBLEMS: Final[dict[int, dict[str, Any]]] = {
    400: _problem(
        400,
        "malformed",
        "Malformed",
        "The bytes are not a command: not JSON, a field of the wrong type, an unknown or a missing field.",
        errors=[{"loc": ["curency"], "msg": "Extra inputs are not permitted"}],
    ),
    401: _problem(401, "unauthorized", "Unauthorized", "The header X-API-Key holds no key that is valid now."),
    402: _refusal(
        402,
        "budget_exhausted",
        "Budget exhausted",
        "The amount is more than what is available in that currency.",
        fact_id="account_acct_123.43",
        seq=43,
        as_of=AS_OF,
        recorded_at=1_800_000_000_000,
    ),
    403: _problem(403, "forbidden", "Forbidden", "The API key lacks the scope `write`."),
    404: _refusal(
        404,
        "unknown_entity",
        "Unknown entity",
        "The tenant has no such entity. Another tenant's entity answers the same.",
        as_of=AS_OF,
    ),
    409: _refusal(409, "id_reused", "Id reused", "The command id was used before on this ledger with another body.", as_of=AS_OF),
    413: _problem(413, "too_large", "Too large", "The body is larger than 2000000 bytes."),
    422: _problem(
        422,
        "bad_amount",
        "Bad amount",
        "An amount is not a plain decimal string above zero with at most 12 decimals and 26 digits before the point.",
        errors=[{"loc": ["amount"], "msg": 'an amount is a decimal string such as "12.50", never a JSON number'}],
    ),
    503: _refusal(503, "overloaded", "Overloaded", "The owner's queue is full; send again after a pause."),
    504: _refusal(
        504,
        "timeout",
        "Timeout",
        "No answer within the deadline. The command may or may not have been decided: "
        "the same id is safe and gives the first outcome.",
    ),
}
