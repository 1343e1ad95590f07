"""The whole app against its own OpenAPI document: no 5xx, every answer within its schema."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, given, settings
from schemathesis.core.transport import Response
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi import checks

from api.app import create_app
from api.services import Services
from config.settings import Settings
from tests.api.support import FakeWorld

EXAMPLES = 25


class Served:
    """The app under uvicorn in a thread of its own, with credentials for every scheme."""

    def __init__(self, app_settings: Settings) -> None:
        self._settings = app_settings
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="served")
        self._thread.start()
        assert self._started.wait(30)
        self.base = f"http://127.0.0.1:{self.port}"
        self.credentials = self._credentials()

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(30)

    async def _serve(self) -> None:
        app = create_app(Services.build(self._settings, FakeWorld()))
        config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", access_log=False, ws="none")
        self._server = uvicorn.Server(config)
        serving = asyncio.create_task(self._server.serve())
        while not self._server.started:
            await asyncio.sleep(0.01)
        self.port = self._server.servers[0].sockets[0].getsockname()[1]
        self._started.set()
        await serving

    def _credentials(self) -> dict[str, str]:
        with httpx.Client(base_url=self.base) as http:
            body = {"email": "schema@example.com", "password": "password123"}
            account = http.post("/v1/signup", json=body).json()
            token = account["account_token"]
            headers = {"authorization": f"Bearer {token}"}
            key = http.post("/v1/keys", json={"account_id": account["account_id"]}, headers=headers).json()
            return {"account": token, "key": key["api_key"], "session": "test-spectator-token"}


@pytest.fixture(scope="module")
def served(postgres_url: str, valkey_url: str) -> Iterator[Served]:
    app_settings = Settings(
        environment="test", database_url=postgres_url, redis_url=valkey_url, account_keys_max=10_000
    )
    served = Served(app_settings)
    yield served
    served.stop()


def _operations() -> list[Any]:
    """Every operation of the document, which needs no server to be made."""
    nowhere = Settings(database_url="postgresql://nowhere/none", redis_url="redis://nowhere")
    schema: Any = schemathesis.openapi.from_dict(create_app(Services.build(nowhere, FakeWorld())).openapi())
    return [found.ok() for found in schema.get_all_operations()]


#: Left out: whether every schema-valid request is accepted and every other one refused is the business of the unit
#: tests, since what an id, an e-mail or a label may be is more than a JSON schema says.
CHECKED = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]


#: What the HTTP server itself says to a header that is none, such as a length that is no number: no request came of it.
NO_HTTP = "Invalid HTTP request received."


def _scheme(case: Any) -> str:
    security = case.operation.definition.raw.get("security") or [{}]
    return next(iter(security[0]), "")


def _cases() -> list[Any]:
    """Requests within the schema of every operation, and beyond it where there is anything to get wrong."""
    return [
        pytest.param(operation, mode, id=f"{operation.label} {mode.value}")
        for operation in _operations()
        for mode in GenerationMode
        if mode is GenerationMode.POSITIVE or {"requestBody", "parameters"} & operation.definition.raw.keys()
    ]


@pytest.mark.parametrize(("operation", "mode"), _cases())
def test_every_answer_is_within_its_schema(operation: Any, mode: GenerationMode, served: Served) -> None:
    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    def probe(case: Any) -> None:
        credentials = served.credentials.get(_scheme(case))
        if credentials is not None:
            assert case.call(base_url=served.base).status_code >= 400, "works without credentials"
            case.headers = {**(case.headers or {}), "authorization": f"Bearer {credentials}"}
        response: Response = case.call(base_url=served.base)
        if response.text == NO_HTTP:
            return
        assert response.status_code < 500, response.text
        case.validate_response(response, checks=CHECKED)

    probe()


def test_the_document_names_every_way_to_refuse(served: Served) -> None:
    paths = httpx.get(f"{served.base}/openapi.json").json()["paths"]
    assert {"/v1/signup", "/v1/keys", "/v1/keys/{key_id}", "/v1/sessions", "/v1/agents"} <= set(paths)
    for path, operations in paths.items():
        for method, operation in operations.items():
            assert {"400", "422", "500", "503"} <= set(operation["responses"]), (method, path)


async def test_the_life_span_starts_and_closes_the_services(fresh_postgres_url: str, valkey_url: str) -> None:
    services = Services.build(Settings(database_url=fresh_postgres_url, redis_url=valkey_url), FakeWorld())
    app = create_app(services)
    async with app.router.lifespan_context(app):
        names = {task.get_name() for task in asyncio.all_tasks()}
        assert {"session-log", "background"} <= names
    names = {task.get_name() for task in asyncio.all_tasks()}
    assert not {"session-log", "background"} & names
