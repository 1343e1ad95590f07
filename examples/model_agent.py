"""An agent that a language model drives: any model behind an OpenAI-compatible endpoint, or a stub without one.

    CHUNKCRAWL_API_KEY=dcw_... python examples/model_agent.py --agent thinker-1 --turns 8
    MODEL_BASE_URL=http://127.0.0.1:11434/v1 MODEL=qwen3 CHUNKCRAWL_API_KEY=dcw_... python examples/model_agent.py

The model sees docs/SKILL.md, the tools as functions and their answers, and replies with calls of them.  ``--model-url``
(``MODEL_BASE_URL``), ``--model`` (``MODEL``) and the key in ``MODEL_API_KEY`` say which; without a URL the stub plays:
same loop, no key, no network.  Over MCP no loop of one's own is needed at all.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
from typing import Any, Final, Protocol

import httpx

from chunkcrawl import Agent, default_base
from chunkcrawl.mcp.skill import skill
from chunkcrawl.mcp.toolbox import TOOLS, Toolbox

GOAL: Final = "You play an agent in Chunkcrawl. Gather gold and explore; say why in `reason`. Call one tool at a time."
ANSWER_TIMEOUT_S: Final = 120.0
#: What a model remembers of the conversation, beside its goal: so many messages.
REMEMBERED: Final = 40

TEXT: Final = {"type": "string"}
WHOLE: Final = {"type": "integer"}
#: The arguments of each tool that the model is offered, and which of them are needed.
OFFERED: Final[dict[str, tuple[dict[str, Any], list[str]]]] = {
    "observe": ({"budget_tokens": WHOLE}, []),
    "map": ({}, []),
    "go_to": ({"chunk_id": TEXT, "x": WHOLE, "y": WHOLE, "reason": TEXT}, ["chunk_id", "x", "y"]),
    "explore": ({"chunks": WHOLE, "reason": TEXT}, []),
    "harvest_until": ({"amount": WHOLE, "reason": TEXT}, ["amount"]),
    "move_to": ({"x": WHOLE, "y": WHOLE, "reason": TEXT}, ["x", "y"]),
    "say": ({"text": TEXT, "reason": TEXT}, ["text"]),
    "give": ({"agent_id": TEXT, "amount": WHOLE, "reason": TEXT}, ["agent_id", "amount"]),
    "wait_for_events": ({"seconds": {"type": "number"}}, []),
    "remember": ({"name": TEXT, "text": TEXT}, ["name", "text"]),
    "recall": ({}, []),
}

Message = dict[str, Any]


class Model(Protocol):
    """Anything that answers a conversation with a message, whose ``tool_calls`` are then carried out."""

    async def reply(self, conversation: list[Message]) -> Message:
        """Return the next message, as OpenAI's chat completions have it."""


class StubModel:
    """Looks, digs, explores and talks, by what it was told last."""

    async def reply(self, conversation: list[Message]) -> Message:
        """Return the next tool call."""
        last = str(conversation[-1]["content"])
        if re.match(r"Took \d+ gold", last):
            return self._calls("explore", {"reason": "more may be next door"})
        if last.startswith("Found "):
            return self._calls("say", {"text": "hello"})
        if last.startswith("You are "):
            return self._calls("harvest_until", {"amount": 3, "reason": "gold first"})
        return self._calls("observe", {"budget_tokens": 300})

    def _calls(self, tool: str, arguments: dict[str, Any]) -> Message:
        function = {"name": tool, "arguments": json.dumps(arguments)}
        return {"role": "assistant", "content": None, "tool_calls": [{"id": "call-1", "function": function}]}


class ChatModel:
    """A model behind ``POST {base_url}/chat/completions``: OpenAI's, or one of the many servers that speak the same."""

    def __init__(self, http: httpx.AsyncClient, base_url: str, name: str, api_key: str) -> None:
        self._http = http
        self._url = f"{base_url.rstrip('/')}/chat/completions"
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._name = name

    async def reply(self, conversation: list[Message]) -> Message:
        """Ask the model.  Raises ``httpx.HTTPError``."""
        asked = {"model": self._name, "messages": conversation, "tools": functions()}
        answer = await self._http.post(self._url, json=asked, headers=self._headers)
        message: Message = answer.raise_for_status().json()["choices"][0]["message"]
        return message


def functions() -> list[dict[str, Any]]:
    """Return the tools, as chat completions want them; what they do is their docstrings' first line."""
    found = []
    for name, (properties, needed) in OFFERED.items():
        parameters = {"type": "object", "properties": properties, "required": needed}
        does = (getattr(Toolbox, name).__doc__ or "").partition("\n")[0]
        found.append({"type": "function", "function": {"name": name, "description": does, "parameters": parameters}})
    return found


async def turn(model: Model, tools: Toolbox, conversation: list[Message]) -> None:
    """Ask the model once, carry out what it calls, and add all of it to the conversation."""
    message = await model.reply(conversation)
    calls = message.get("tool_calls") or []
    conversation.append(
        {"role": "assistant", "content": message.get("content"), **({"tool_calls": calls} if calls else {})}
    )
    if not calls:
        conversation.append({"role": "user", "content": "Go on: call a tool."})
    for call in calls:
        answer = await carried_out(tools, call["function"])
        conversation.append({"role": "tool", "tool_call_id": call.get("id", ""), "content": answer})


async def carried_out(tools: Toolbox, function: dict[str, Any]) -> str:
    """Return a tool's answer; models err: they are told and try again."""
    try:
        if function["name"] not in TOOLS:
            raise ValueError(f"there is no tool {function['name']!r}; the tools are {', '.join(sorted(TOOLS))}")
        return str(await tools.call(function["name"], json.loads(function.get("arguments") or "{}")))
    except (ValueError, TypeError, KeyError) as error:
        return f"invalid call: {error}"


def shown(message: Message) -> str:
    """Return a message as it is printed."""
    calls = [
        f"> {call['function']['name']} {call['function'].get('arguments', '')}"
        for call in message.get("tool_calls", [])
    ]
    return "\n".join([*([str(message["content"])] if message.get("content") else []), *calls])


async def play(model: Model, base: str, agent_id: str, turns: int) -> list[Message]:
    """Let a model play for some turns, and return the conversation."""
    key = os.environ["CHUNKCRAWL_API_KEY"]
    async with Agent.connect(base, agent_id=agent_id, api_key=key) as agent, Toolbox(agent) as tools:
        head: list[Message] = [{"role": "system", "content": f"{GOAL}\n\n{skill()}"}]
        conversation = [*head, {"role": "user", "content": await tools.observe(300)}]
        whole = list(conversation)
        for _ in range(turns):
            before = len(conversation)
            await turn(model, tools, conversation)
            whole += conversation[before:]
            conversation = head + recent(conversation[1:])
    return whole


def recent(messages: list[Message]) -> list[Message]:
    """Return the newest messages; answers of tools whose call is gone would be refused."""
    kept = messages[-REMEMBERED:]
    while kept and kept[0]["role"] == "tool":
        kept.pop(0)
    return kept


async def main() -> None:
    """Play, and print the conversation."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default=default_base())
    parser.add_argument("--agent", default="thinker-1")
    parser.add_argument("--turns", type=int, default=8)
    parser.add_argument(
        "--model-url", default=os.environ.get("MODEL_BASE_URL", ""), help="as http://127.0.0.1:11434/v1"
    )
    parser.add_argument("--model", default=os.environ.get("MODEL", ""), help="its name there")
    args = parser.parse_args()
    async with httpx.AsyncClient(timeout=ANSWER_TIMEOUT_S) as http:
        key = os.environ.get("MODEL_API_KEY", "")
        model: Model = ChatModel(http, args.model_url, args.model, key) if args.model_url else StubModel()
        for message in await play(model, args.base, args.agent, args.turns):
            print(shown(message), end="\n\n")


if __name__ == "__main__":
    asyncio.run(main())
