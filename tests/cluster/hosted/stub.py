"""A stub in place of a language model: the same calls that one would make to get gold, look around and talk."""

from __future__ import annotations

import json
from typing import Any

#: Careful, as ``chunkcrawl.mcp.observe`` reckons.
CHARS_PER_TOKEN = 3


class StubPlay:
    """What was asked and answered; ``client``: one of the MCP SDK, connected to a gateway."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.answers: list[str] = []

    async def ask(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Call a tool; the fields of its answer."""
        result = await self._client.call_tool(tool, arguments)
        assert not result.is_error, result
        fields: dict[str, Any] = result.structured_content
        self.answers.append(result.content[0].text + json.dumps(fields))
        return fields

    async def play(self, agent_id: str, gold: int, seconds: float) -> None:
        """Get gold, enter a second chunk, say something."""
        await self.ask("play_as", agent_id=agent_id)
        has = 0
        while has < gold:
            wanted = {"amount": gold - has, "seconds": seconds, "reason": f"I want {gold} gold"}
            has = (await self.ask("harvest_until", **wanted))["gold"]
        found: list[str] = []
        while not found:
            found = (await self.ask("explore", seconds=seconds, reason="what is next door?")).get("found", [])
        assert (await self.ask("say", text=f"{gold} gold and {found[0]}"))["ok"]

    @property
    def tokens(self) -> float:
        """What the answers cost, texts and fields."""
        return sum(map(len, self.answers)) / CHARS_PER_TOKEN
