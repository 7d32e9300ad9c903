"""The OpenAPI document, the map of statuses, and health."""

import re
from typing import Any

import jsonschema
import pytest

from api import docs
from api.app import create_app
from api.errors import CODE_MEANINGS, Code, status_of, status_of_code
from api.examples import BATCH, COMMANDS
from api.items import parse_item
from api.reads import load_queries
from tests.unit.test_api_world import FaultyLedger, MemoryReads, check_problem, world
from z0.client.memory import MemoryLedger
from z0.config import Config
from z0.domain.outcome import Kind, Outcome, kind

PROMISED = {
    ("post", "/v1/entities"),
    ("patch", "/v1/entities/{entity_id}"),
    ("get", "/v1/entities/{entity_id}"),
    ("get", "/v1/entities/{entity_id}/facts"),
    ("post", "/v1/entities/{entity_id}/facts"),
    ("post", "/v1/entities/{entity_id}/budget"),
    ("post", "/v1/entities/{entity_id}/budget/deduct"),
    ("post", "/v1/entities/{entity_id}/reservations"),
    ("post", "/v1/entities/{entity_id}/reservations/{reservation_id}/confirm"),
    ("post", "/v1/entities/{entity_id}/reservations/{reservation_id}/release"),
    ("get", "/v1/entities/{entity_id}/reservations"),
    ("post", "/v1/entities/{entity_id}/check"),
    ("post", "/v1/entities/{entity_id}/authorize"),
    ("get", "/v1/entities/{entity_id}/caps"),
    ("get", "/v1/entities/{entity_id}/access"),
    ("post", "/v1/entities/{entity_id}/access"),
    ("delete", "/v1/entities/{entity_id}/access/{grantee_id}"),
    ("get", "/v1/entities/{entity_id}/charges"),
    ("post", "/v1/entities/{entity_id}/charges/{charge_id}/settle"),
    ("post", "/v1/configs/{config_id}"),
    ("get", "/v1/configs/{config_id}"),
    ("get", "/v1/configs"),
    ("get", "/v1/entities/{entity_id}/configs"),
    ("get", "/v1/decisions/{decision_id}"),
    ("post", "/v1/commands"),
    ("post", "/v1/commands/batch"),
    ("get", "/healthz"),
    ("get", "/readyz"),
}


def _document() -> dict[str, Any]:
    ledger = MemoryLedger()
    return create_app(config=Config(), ledger=FaultyLedger(ledger), reads=MemoryReads(ledger)).openapi()


def _operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(method, path, op) for path, ops in document["paths"].items() for method, op in ops.items()]


def _check(document: dict[str, Any], schema: dict[str, Any], value: Any) -> None:
    jsonschema.Draft202012Validator({**schema, "components": document["components"]}).validate(value)


def test_every_promised_route_is_in_the_document_and_no_other() -> None:
    assert {(method, path) for method, path, _ in _operations(_document())} == PROMISED


def test_every_route_has_an_example_of_its_request_and_of_each_response_and_they_are_valid() -> None:
    document = _document()
    for method, path, operation in _operations(document):
        assert operation["summary"]
        assert operation["description"]
        assert operation["tags"]
        contents = [r["content"] for r in operation["responses"].values()]
        if method in ("post", "patch"):
            contents.append(operation["requestBody"]["content"])
        for content in contents:
            for media in content.values():
                examples = [e["value"] for e in media.get("examples", {}).values()] or [media["example"]]
                for example in examples:
                    _check(document, media["schema"], example)
        assert ("security" in operation) is path.startswith("/v1/")


def test_problems_are_shown_as_problem_json_only() -> None:
    for _, path, operation in _operations(_document()):
        for status, response in operation["responses"].items():
            media = "application/json" if int(status) < 400 else "application/problem+json"
            assert list(response["content"]) == [media], (path, status)


def test_the_command_schema_takes_no_tenant_and_the_examples_are_commands() -> None:
    schemas = docs.command_schemas()
    assert all("tenant_id" not in schema.get("properties", {}) for schema in schemas.values())
    import msgspec

    examples = [COMMANDS["example"]["value"], *BATCH["example"]["value"]["commands"]]
    for index, example in enumerate(examples):
        assert parse_item(msgspec.json.encode(example), "tenant_acme", f"k/{index}").tenant_id == "tenant_acme"


async def test_the_document_is_served_without_a_key() -> None:
    async with world() as api:
        assert (await api.http.get("/openapi.json")).json()["info"]["title"] == "z0"
        assert (await api.http.get("/docs")).status_code == 200


async def test_the_page_of_the_document_needs_no_other_host() -> None:
    """It was blank without internet; whoever reads it tells nobody."""
    async with world() as api:
        page = (await api.http.get("/docs")).text
        places = re.findall(r"""(?:src|href|url)\s*[=:]\s*["']([^"']+)["']""", page)
        assert [place.rpartition(".")[2] for place in places] == ["css", "png", "js", "json"]
        assert [place for place in places if not place.startswith("/") or place.startswith("//")] == []
        assert [(await api.http.get(place)).status_code for place in places] == [200] * 4
        assert "://" not in page.replace("window.location.origin", "")
        assert (await api.http.get("/redoc")).status_code == 404


@pytest.mark.parametrize("outcome", list(Outcome))
def test_every_outcome_has_a_status_that_says_what_a_caller_should_do(outcome: Outcome) -> None:
    status = status_of(outcome)
    match kind(outcome):
        case Kind.ACCEPTED:
            assert status == 200
        case Kind.TRANSIENT:
            assert status in (503, 504)
        case Kind.FINAL | Kind.UNRECORDED:
            assert 400 <= status < 500


def test_every_code_of_the_api_has_a_status_a_meaning_and_a_name_that_no_outcome_has() -> None:
    assert set(CODE_MEANINGS) == set(Code)
    assert all(400 <= status_of_code(code) < 600 for code in Code)
    assert not {*Code} & {*Outcome}


def test_the_query_file_holds_the_queries_that_are_asked() -> None:
    queries = load_queries()
    assert queries.keys() == {"ping", "head", "facts", "config", "configs", "applying", "closings"}
    assert all("tenant_id = %(tenant_id)s" in text for name, text in queries.items() if name != "ping")


async def test_the_process_is_alive_also_when_nothing_is_ready() -> None:
    async with world() as api:
        api.ledger.ready = api.reads.ready = False
        assert (await api.http.get("/healthz")).status_code == 200


async def test_ready_needs_every_partition_and_postgres_and_says_what_is_missing() -> None:
    async with world() as api:
        assert (await api.http.get("/readyz")).status_code == 200
        api.reads.ready = False
        response = await api.http.get("/readyz")
        assert [e["loc"] for e in check_problem(response, 503, "not_ready")["errors"]] == [["postgres"]]
        assert response.headers["retry-after"]
        api.ledger.ready = False
        problem = check_problem(await api.http.get("/readyz"), 503, "not_ready")
        assert [e["loc"] for e in problem["errors"]] == [["ledger"], ["postgres"]]


async def test_an_unknown_route_and_a_wrong_method_are_problems_too() -> None:
    async with world() as api:
        check_problem(await api.http.get("/nothing"), 404, "no_such_route")
        response = await api.http.post("/healthz")
        check_problem(response, 405, "method_not_allowed")
        assert response.headers["allow"] == "GET"


async def test_a_fault_answers_500_without_its_text() -> None:
    async with world() as api:
        path = await api.account()

        async def broken(*_: object, **__: object) -> None:
            raise RuntimeError("secret detail")

        api.ledger.submit = broken  # type: ignore[assignment, method-assign]
        response = await api.post(f"{path}/budget", {"amount": "1", "currency": "USD"}, Idempotency_Key="k")
        assert check_problem(response, 500, "internal")["command_id"] == "k"
        assert "secret" not in response.text
