"""``examples/model_agent.py`` with a stub of an OpenAI-compatible endpoint."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

from chunkcrawl import Agent
from chunkcrawl.mcp.toolbox import TOOLS, Toolbox
from tests.sdk.fake_server import FakeServer

ROOT = Path(__file__).parents[3]


@pytest.fixture
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("model_agent", ROOT / "examples" / "model_agent.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def says(*calls: tuple[str, str], text: str | None = None) -> dict[str, Any]:
    functions = [{"name": name, "arguments": arguments} for name, arguments in calls]
    asked = [{"id": f"c-{number}", "type": "function", "function": one} for number, one in enumerate(functions)]
    return {"role": "assistant", "content": text, "tool_calls": asked}


async def test_a_model_behind_an_endpoint_plays(example: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """It looks, walks, errs in three ways, says nothing useful once, and talks."""
    replies = [
        says(("observe", "{}"), ("move_to", '{"x": 3, "y": 3, "reason": "closer"}')),
        says(("fly", "{}"), ("move_to", "{"), ("move_to", '{"z": 1}')),
        {"role": "assistant", "content": "Hm."},
        says(("say", '{"text": "hello"}'), text="I greet."),
    ]
    requests: list[dict[str, Any]] = []

    def endpoint(request: httpx.Request) -> httpx.Response:
        assert request.url == "http://models.test/v1/chat/completions"
        assert request.headers["authorization"] == "Bearer secret"
        requests.append(json.loads(request.content))
        return httpx.Response(200, json={"choices": [{"message": replies[len(requests) - 1]}]})

    monkeypatch.setenv("CHUNKCRAWL_API_KEY", "dcw_good")
    async with FakeServer().running() as server, httpx.AsyncClient(transport=httpx.MockTransport(endpoint)) as http:
        connect = Agent.connect
        monkeypatch.setattr(example.Agent, "connect", lambda base, **more: connect(base, api=server.api(), **more))
        model = example.ChatModel(http, "http://models.test/v1/", "tiny", "secret")
        whole = await example.play(model, server.base, "scout", 4)
        assert [cmd["type"] for cmd in server.commands] == ["move_to", "say"]
        assert server.thoughts == [("move_to", "closer")]
    assert requests[0]["model"] == "tiny"
    assert "# Playing Chunkcrawl" in requests[0]["messages"][0]["content"]
    answers = [one["content"] for one in whole if one["role"] == "tool"]
    assert answers[1] == "You are at 3,3 in chunk-0."
    assert answers[2].startswith("invalid call: there is no tool 'fly'")
    assert all(text.startswith("invalid call: ") for text in answers[2:5])
    assert answers[5] == "Said in chunk-0."
    assert "> say" in "\n".join(example.shown(one) for one in whole)


def test_what_it_offers_are_tools_with_a_description(example: ModuleType) -> None:
    offered = {one["function"]["name"]: one["function"] for one in example.functions()}
    assert set(offered) <= TOOLS
    assert all(one["description"] for one in offered.values())
    assert set(offered["go_to"]["parameters"]["required"]) == {"chunk_id", "x", "y"}


def test_a_conversation_is_cut_where_it_may_be(example: ModuleType) -> None:
    messages = [{"role": role, "content": str(n)} for n in range(30) for role in ("assistant", "tool")]
    assert len(example.recent(messages)) == example.REMEMBERED
    assert example.recent(messages[:-1])[0]["role"] == "assistant"


async def test_the_stub_plays_by_the_words_it_is_told(example: ModuleType) -> None:
    model = example.StubModel()

    async def next_tool(last: str) -> str:
        message = await model.reply([{"role": "tool", "content": last}])
        name: str = message["tool_calls"][0]["function"]["name"]
        return name

    assert await next_tool("You are a at 1,1 in chunk-0") == "harvest_until"
    assert await next_tool("Took 3 gold, now at chunk-0:1,1.") == "explore"
    assert await next_tool("Found chunk-1, now at chunk-1:1,1.") == "say"
    assert await next_tool("Said in chunk-0.") == "observe"
    assert Toolbox.__doc__
