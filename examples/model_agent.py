"""An agent that a language model drives, here with a stub in place of the model: same loop, no key, no network.

The model sees the text of ``observe`` and the answers of its tools, and replies with one tool call as JSON.  To use a
real one, replace ``StubModel`` by a class whose ``reply`` asks it; ``chunkcrawl.mcp.toolbox`` stays as it is, and over
MCP (``chunkcrawl mcp``) no loop of one's own is needed at all.

    CHUNKCRAWL_API_KEY=dcw_... python examples/model_agent.py --agent thinker-1 --turns 8
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
from typing import Any, Final, Protocol

from chunkcrawl import Agent, default_base
from chunkcrawl.mcp.toolbox import Toolbox

TOOLS: Final = ("observe", "move_to", "say", "harvest", "wait_for_events")


class Model(Protocol):
    """Anything that answers a conversation with one tool call: ``{"tool": name, "arguments": {...}}``."""

    async def reply(self, conversation: list[str]) -> str:
        """Return the next tool call."""


class StubModel:
    """Follows docs/SKILL.md by pattern: gold in reach is taken, else an exit, else it waits."""

    async def reply(self, conversation: list[str]) -> str:
        """Return the next tool call, by what the last observation says."""
        last = conversation[-1]
        if not last.startswith("You are") or "Tick" not in last:
            return json.dumps({"tool": "observe", "arguments": {"budget_tokens": 300}})
        here = re.search(r"at (\d+),(\d+) in", last)
        gold = re.search(r"Gold (\S+): stand at (\d+),(\d+)", last)
        way_out = re.search(r"Exit \w to \S+: move_to (\d+),(\d+)", last)
        if gold and here and gold.groups()[1:] == here.groups():
            return json.dumps({"tool": "harvest", "arguments": {"node_id": gold[1]}})
        goal = gold.groups()[1:] if gold else way_out.groups() if way_out else None
        if goal is None:
            return json.dumps({"tool": "wait_for_events", "arguments": {"seconds": 2}})
        return json.dumps({"tool": "move_to", "arguments": {"x": int(goal[0]), "y": int(goal[1])}})


async def turn(model: Model, tools: Toolbox, conversation: list[str]) -> None:
    """Ask the model once, call the tool that it names, and add both to the conversation."""
    asked = await model.reply(conversation)
    try:
        call: dict[str, Any] = json.loads(asked)
        if call["tool"] not in TOOLS:
            raise ValueError(f"there is no tool {call['tool']!r}; the tools are {', '.join(TOOLS)}")
        answer = await getattr(tools, call["tool"])(**call["arguments"])
    except (ValueError, TypeError, KeyError) as error:
        answer = f"invalid call: {error}"  # models err; they are told and try again
    conversation += [f"> {asked}", answer]


async def main() -> None:
    """Let the stub play for some turns and print the conversation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", default=default_base())
    parser.add_argument("--agent", default="thinker-1")
    parser.add_argument("--turns", type=int, default=8)
    args = parser.parse_args()
    key = os.environ["CHUNKCRAWL_API_KEY"]
    async with Agent.connect(args.base, agent_id=args.agent, api_key=key) as agent, Toolbox(agent) as tools:
        conversation = [await tools.observe(300)]
        for _ in range(args.turns):
            await turn(StubModel(), tools, conversation)
        print("\n\n".join(conversation))


if __name__ == "__main__":
    asyncio.run(main())
