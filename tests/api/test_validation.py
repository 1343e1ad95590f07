"""What is wrong with a request, by field and rule."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from api.validation import OTHERWISE, broken_rule
from tests.api.people import PASSWORD, bearer, refused, signed_up

SECRET = "hunter2"
EMAIL = {"email": "a@x.org"}
KEY = {"api_key": "dcw_x"}


@pytest.mark.parametrize(
    ("path", "body", "fields"),
    [
        ("/v1/signup", EMAIL | {"password": SECRET}, {"password": "has 8 characters at least"}),
        ("/v1/signup", EMAIL, {"password": "is missing"}),
        ("/v1/signup", EMAIL | {"password": 7}, {"password": "must be a text"}),
        ("/v1/signup", {"email": SECRET, "password": PASSWORD}, {"email": "must be an e-mail address"}),
        (
            "/v1/signup",
            EMAIL | {"password": f"{SECRET}\ud800"},
            {"password": "must be a text of whole characters (no lone surrogates)"},
        ),
        ("/v1/signup", [SECRET], {"body": "must be a JSON object"}),
        ("/v1/sessions", KEY | {"role": SECRET}, {"role": "is one of 'agent', 'owner_spectator' or 'spectator'"}),
        (
            "/v1/sessions",
            KEY | {"role": "agent", "agent_id": f"{SECRET}|"},
            {"agent_id": "is made of A-Z a-z 0-9 _ . - only"},
        ),
        (
            "/v1/dev/agent/move-to",
            {"agent_id": "a", "x": SECRET, "y": 1.5},
            {"x": "must be a whole number", "y": "must be a whole number"},
        ),
    ],
)
async def test_a_refusal_names_field_and_rule_and_no_value(
    http: httpx.AsyncClient, path: str, body: Any, fields: dict[str, str]
) -> None:
    headers = bearer("test-spectator-token") | {"content-type": "application/json"}
    answer = await http.post(path, content=json.dumps(body), headers=headers)
    refused(answer, 422, "invalid_request")
    assert {one["field"]: one["rule"] for one in answer.json()["fields"]} == fields
    assert SECRET not in answer.text


async def test_a_body_that_is_no_json_is_named_whole(http: httpx.AsyncClient) -> None:
    answer = await http.post("/v1/signup", content=b'{"email": ', headers={"content-type": "application/json"})
    assert answer.json()["fields"] == [{"field": "body", "rule": "must be JSON"}]


async def test_a_query_is_named_too(http: httpx.AsyncClient) -> None:
    answer = await http.get("/v1/agents?limit=0", headers=(await signed_up(http)).bearer)
    assert answer.json()["fields"] == [{"field": "limit", "rule": "is 1 at least"}]


def test_a_rule_nobody_wrote_down_is_named_without_its_value() -> None:
    fault = {"loc": ("body", "when", 3), "type": "datetime_parsing", "msg": PASSWORD, "input": PASSWORD, "ctx": {}}
    assert broken_rule(fault) == {"field": "when.3", "rule": OTHERWISE}
