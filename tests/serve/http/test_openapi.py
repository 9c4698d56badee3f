"""The API keeps to its own document, whatever is sent, with each role."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from flowq.plan.schedule import Entry
from flowq.schedules.entries import Description
from flowq.serve.http.openapi import openapi, operation_id
from flowq.serve.http.principals import ROLES, Role
from flowq.serve.http.routes import ROUTES
from flowq.store import Store
from tests.serve.http.conftest import NAMESPACE, start
from tests.support.page_server import PageServer, token_of
from tests.support.server import PrivateServer

_CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
    unsupported_method,
]
_REFUSED = [400, 401, 403, 404, 405, 409, 414, 415, 422, 429, 503]
_CONFIG = schemathesis.Config.from_dict({"checks": {"negative_data_rejection": {"expected-statuses": _REFUSED}}})
_FEW = settings(
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def api(page: PageServer, server: PrivateServer, flows: Path) -> Iterator[Any]:
    """The document, with examples of what is there for names in paths."""
    with server.client() as client:
        client.flushall()
        store = Store(client, namespace=NAMESPACE).open()
        run = start(store, flows)
        schedule = "flows/etl/tick:default"
        page.beat = lambda: store.schedules.beat("test", [(schedule, "d", False)])  # type: ignore[attr-defined]
        page.beat()  # type: ignore[attr-defined]
        described = Description(Entry(name="default", line=1, every=3_600_000), str(flows / "etl" / "tick.yaml"), str(flows))
        store.schedules.describe({schedule: described.to_json()})
        known = {
            "run": run,
            "job": "0",
            "flow": "etl:load",
            "schedule": "flows:etl:tick::default",
            "hook": "hook",
            "trigger": "plain",
        }
        document = openapi([route for route in ROUTES if not route.path.endswith("/events") and not route.raw])
        for operations in document["paths"].values():
            for operation in operations.values():
                for parameter in operation["parameters"]:
                    if parameter["in"] == "path" and parameter["name"] in known:
                        parameter["schema"] = {"enum": [known[parameter["name"]], "nothing", "..", "ö", "a:b::c"]}
        page.tokens = {role: token_of(store, role) for role in ROLES}  # type: ignore[attr-defined]
        yield schemathesis.openapi.from_dict(document, config=_CONFIG)


@pytest.mark.slow
@pytest.mark.parametrize("examples", [3, pytest.param(30, marks=pytest.mark.chaos)])
@pytest.mark.parametrize(
    ("roles", "mode"),
    [(ROLES, GenerationMode.POSITIVE), (("admin",), GenerationMode.NEGATIVE)],
    ids=["right", "wrong"],
)
def test_the_api_keeps_to_its_document(
    api: Any, page: PageServer, roles: tuple[str, ...], mode: GenerationMode, examples: int
) -> None:
    """Each request is sent as a user of each role, the lowest first: to make requests takes longer than to answer them."""
    calls = count()
    for found in api.get_all_operations():
        operation = found.ok()
        page.beat()  # type: ignore[attr-defined]  # without a scheduler `/readyz` says 503 after 30 s

        @settings(_FEW, max_examples=examples)
        @given(case=operation.as_strategy(generation_mode=mode))
        def send(case: Any) -> None:
            for role in roles:
                number = next(calls)
                address = f"10.0.{number // 200}.{number % 200}"  # wrong tokens of one address would be refused before long
                headers = {"Authorization": f"Bearer {page.tokens[role]}", "X-Forwarded-For": address}  # type: ignore[attr-defined]
                answer = case.call(base_url=page.url.rstrip("/"), headers=headers)
                case.validate_response(answer, checks=_CHECKS, headers=headers)

        try:
            send()
        except Unsatisfiable:
            assert mode is GenerationMode.NEGATIVE, operation.label  # nothing about it can be wrong


def test_the_document_has_every_route() -> None:
    document = openapi(ROUTES)
    written = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert written == {(route.method, route.path) for route in ROUTES}
    names = [operation_id(route) for route in ROUTES]
    assert len(set(names)) == len(names)
    assert {item["x-role"] for methods in document["paths"].values() for item in methods.values()} == {
        role.word for role in Role
    }


def test_no_route_takes_code_a_file_or_an_address() -> None:
    names = {name for route in ROUTES for name in [*route.query, *(route.body or {}).get("properties", {})]}
    assert not names & {
        "yaml",
        "file",
        "path",
        "url",
        "uri",
        "directory",
        "callable",
        "call",
        "run",
        "env",
        "environment",
        "command",
        "target",
    }
    for route in ROUTES:
        if route.body is not None:
            assert route.body["additionalProperties"] is False, route.path


def test_that_the_process_cannot_work_is_an_answer_of_the_document() -> None:
    written = openapi(ROUTES)
    schema = written["paths"]["/readyz"]["get"]["responses"]["503"]["content"]["application/json"]["schema"]
    answers = jsonschema_rs.validator_for({**schema, "components": written["components"]})
    assert answers.is_valid({"ok": False})
    assert answers.is_valid({"error": {"code": "closing", "message": "the server is stopping", "details": None}})
    assert not answers.is_valid({})
