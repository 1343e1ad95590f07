"""What happens around an agent, as lines for a language model."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from typing import Final

from chunkcrawl.agent import Agent
from chunkcrawl.errors import ChunkcrawlError
from chunkcrawl.mcp.news import News, Weight
from chunkcrawl.view.plain import plain
from chunkcrawl.wire.messages import (
    ChunkDelta,
    ChunkTransition,
    CommandResult,
    Event,
    ResyncRequired,
    SessionReady,
    WorldEvent,
)

__all__ = ["Happenings"]

HEARD_MAX: Final = 100
RUNNING_MAX: Final = 8
TEXT_MAX_CHARS: Final = 220
EVENTS_LIMIT: Final = 512


class Happenings:
    """Turns an agent's events into news, while ``listen`` runs.

    Attributes:
        heard: What was said lately, the newest last.
        news: What has not been told yet.
        new: Set when there is news, or when the agent has ended.
    """

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self.heard: deque[str] = deque(maxlen=HEARD_MAX)
        self.news = News()
        self.new = asyncio.Event()
        self._running: OrderedDict[str, str] = OrderedDict()

    def goes_on(self, client_cmd_id: str, what: str) -> None:
        """Note a command whose end is to be told."""
        self._running[client_cmd_id] = what
        while len(self._running) > RUNNING_MAX:
            self._running.popitem(last=False)

    async def listen(self) -> None:
        """Take in events until the agent ends."""
        try:
            async for event in self._agent.events(limit=EVENTS_LIMIT):
                self._hear(event)
                if self.news:
                    self.new.set()
        except ChunkcrawlError:
            pass  # what ended it is told by whoever asks the agent
        self.new.set()

    def _hear(self, event: Event) -> None:
        if isinstance(event, ChunkTransition):
            self.news.add(f"You went from {event.from_chunk_id} to {event.to_chunk_id}.", Weight.OWN)
        elif isinstance(event, SessionReady):
            self.news.add("The connection to the world's server is back.", Weight.OWN)
        elif isinstance(event, ResyncRequired):
            self.news.add("What happened meanwhile is lost; observe.", Weight.OWN)
        elif isinstance(event, CommandResult):
            self._ended(event)
        elif isinstance(event, ChunkDelta):
            for happened in event.events:
                self._happened(happened)

    def _ended(self, result: CommandResult) -> None:
        what = self._running.pop(result.client_cmd_id, None)
        if what is not None:
            how = "has reached its end" if result.status == "completed" else f"failed: {result.reason or 'unknown'}"
            took = "" if result.amount is None else f", and took {result.amount}"
            self.news.add(f"{what[0].upper()}{what[1:]} {how}{took}.", Weight.OWN)

    def _happened(self, happened: WorldEvent) -> None:
        def field(name: str) -> str:
            return plain(happened.get(name), TEXT_MAX_CHARS)

        match happened.get("type"):
            case "chat":
                line = f"{field('from')}: {field('text')}"
                self.heard.append(line)
                self.news.add(f"Heard {line}", Weight.TALK)
            case "agent_joined" | "agent_left" if happened.get("agent_id") == self._agent.agent_id:
                pass  # what became of the connection is told already
            case "agent_joined":
                self.news.add(f"{field('agent_id')} came.", Weight.THING)
            case "agent_left":
                self.news.add(f"{field('agent_id')} left.", Weight.THING)
            case "resource_harvest":
                amount = happened.get("amount")
                who = "You" if happened.get("by") == self._agent.agent_id else field("by")
                self.news.took(who, field("node_id"), amount if isinstance(amount, int) else 0)
            case "resource_given":
                giver = "You" if happened.get("from") == self._agent.agent_id else field("from")
                taker, weight = field("to"), Weight.THING
                if happened.get("to") == self._agent.agent_id:
                    taker, weight = "you", Weight.TALK
                self.news.add(f"{giver} gave {field('amount')} gold to {taker}.", weight)
            case "resource_depleted":
                self.news.add(f"{field('node_id')} is empty.", Weight.THING)
            case "resource_regenerated":
                self.news.add(f"{field('node_id')} has gold again.", Weight.THING)
            case "neighbor_linked":
                self.news.add(f"A new chunk lies {field('dir')} of here: {field('chunk_id')}.", Weight.THING)
            case "neighbor_unlinked":
                self.news.add(f"The chunk {field('dir')} of here is gone: nobody was there.", Weight.THING)
