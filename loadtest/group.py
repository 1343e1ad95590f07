"""What the agents and spectators of one generator share: account, HTTP client, present measures, and when to stop."""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import Mapping
from typing import Final

from chunkcrawl.errors import ApiError, ChunkcrawlError
from chunkcrawl.transport.backoff import Backoff
from chunkcrawl.transport.connection import is_worth_retrying
from chunkcrawl.transport.http import Api
from chunkcrawl.wire.messages import ChunkStatic, Event
from loadtest.measures import Measures
from loadtest.plan import Plan

__all__ = ["AgentGroup", "some_chunk"]

JOIN_TRIES: Final = 6
STATICS_MAX: Final = 256


class AgentGroup:
    """What the agents and spectators of one generator share."""

    def __init__(self, plan: Plan, api: Api, api_key: str) -> None:
        self.plan, self.api, self.api_key = plan, api, api_key
        #: The counts of the present second; replaced with every sample.
        self.measures = Measures()
        #: Whether agents give commands.
        self.going = True
        #: Whether connections are kept; those that are lost are opened again while it holds.
        self.open = True
        #: How many are connected and have been shown a state.
        self.agents = self.spectators = 0
        #: How many got in at all, and how many never did.
        self.joined = self.given_up = 0
        #: When the last of them got in, by ``time.perf_counter``; 0 before the first.
        self.joined_at = 0.0
        #: Set whenever one gets in or gives up, for whoever waits to let the next one begin.
        self.settled = asyncio.Event()
        #: The chunk in which each agent was last seen.
        self.place_of: dict[str, str] = {}
        #: Processor time spent on proofs of work since the last sample.
        self.proof_s = 0.0
        #: A fault of our own that ends the run, None without one.
        self.defect: Exception | None = None
        self.tls = ssl.create_default_context() if plan.base.startswith("https://") else None
        self._statics: dict[bytes, ChunkStatic] = {}

    def shared(self, event: Event) -> Event:
        """Return the event, or an equal one that somebody here already has; each copy of a terrain would take 40 kB."""
        if not isinstance(event, ChunkStatic):
            return event
        if len(self._statics) >= STATICS_MAX:
            self._statics.clear()
        return self._statics.setdefault(event.raw, event)

    def let_in(self, now: float) -> None:
        """Note that somebody has been shown a state for the first time."""
        self.joined += 1
        self.joined_at = now
        self.settled.set()

    async def pause(self, error: ChunkcrawlError, backoff: Backoff, *, joined: bool) -> bool:
        """Count a connection that failed or was refused, wait for the next try; False when there is to be none.

        Who never got in gives up after ``JOIN_TRIES``; who was in already comes back until the run is over.
        """
        self.measures.count_as("reconnect_failed" if joined else "join_failed", error.reason)
        if not is_worth_retrying(error) or (not joined and backoff.tries >= JOIN_TRIES):
            self.measures.counts["given_up"] += 1
            self.given_up += not joined
            self.settled.set()
            return False
        hint_s = error.retry_after_s if isinstance(error, ApiError) else None
        await asyncio.sleep(backoff.next_delay(at_least_s=hint_s or 0.0))
        return True

    def fail(self, error: Exception) -> None:
        """Keep a fault of ours, the first one: the generator ends with it rather than measure nonsense."""
        self.defect = self.defect or error


def some_chunk(places: Mapping[str, str], rng: random.Random) -> str:
    """Return a chunk to watch: likelier the more agents are in it; the contract's ``demo`` while there are none."""
    return rng.choice(list(places.values())) if places else "demo"
