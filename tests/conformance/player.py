"""Plays the list of scenarios by the Python SDK; ``player.mjs`` does the same by the JavaScript one."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable
from contextlib import AsyncExitStack
from typing import Any, Final, TypeAlias

from chunkcrawl import Agent, ChunkcrawlError, Watcher
from chunkcrawl.journeys.outcomes import Outcome
from chunkcrawl.view.paths import Point, is_boundary
from chunkcrawl.view.world_view import WorldView
from chunkcrawl.watcher import WatcherOptions

Step: TypeAlias = dict[str, Any]
Result: TypeAlias = dict[str, Any]

#: Far more than anything here takes.
PATIENCE_S: Final = 60.0
#: Steps of a walk that lasts longer than what is tried meanwhile.
STROLL: Final = 6
COMMANDS: Final = ("command_challenge", "command_ack", "command_result")


class Player:
    """One scenario: its agents, and what they were told."""

    def __init__(self, base: str, keys: dict[str, str], prefix: str, stack: AsyncExitStack) -> None:
        self._base, self._keys, self._prefix, self._stack = base, keys, prefix, stack
        self._agents: dict[str, Agent] = {}
        self._chats: dict[str, list[dict[str, Any]]] = {}
        self._events: list[str] = []
        self._strolling: asyncio.Task[Any] | None = None

    async def play(self, step: Step) -> Result:
        """What a step gave; what it raised is a result too."""
        try:
            return await getattr(self, f"_{step['do']}")(step)  # type: ignore[no-any-return]
        except ChunkcrawlError as error:
            return self._error(error)

    # -- steps --

    async def _state(self, step: Step) -> Result:
        me = await self._agent(step)
        return {"chunk_id": me.chunk_id, "connected": me.connected, "connections": me.connections}

    async def _see(self, step: Step) -> Result:
        me = await self._agent(step)
        whom = self._name(step["whom"])
        return {"seen": await me.wait_until(lambda view: whom in view.others, PATIENCE_S)}

    async def _move(self, step: Step) -> Result:
        me = await self._agent(step)
        x, y = await self._cell(me, step["to"])
        await me.move_to(x, y)
        return {"is": "Completed", "reason": None, "stands_there": me.position == (x, y)}

    async def _say(self, step: Step) -> Result:
        return await self._done((await self._agent(step)).say(step["text"], timeout_s=step.get("timeout_s")))

    async def _command(self, step: Step) -> Result:
        return await self._done((await self._agent(step)).command(step["cmd"]))

    async def _harvest(self, step: Step) -> Result:
        me = await self._agent(step)
        if step["node"] != "far":
            return await self._done(me.harvest(step["node"]))
        x, y = me.position or (0, 0)
        far = max(me.gold.values(), key=lambda node: abs(node.x - x) + abs(node.y - y))
        return await self._done(me.harvest(far))

    async def _give(self, step: Step) -> Result:
        return await self._done((await self._agent(step)).give(step["to"], step["amount"]))

    async def _listen(self, step: Step) -> Result:
        heard = self._chats.setdefault(step["who"], [])
        (await self._agent(step)).on("chat", heard.append)
        return {}

    async def _heard(self, step: Step) -> Result:
        me, speaker = await self._agent(step), self._name(step["from"])
        heard = self._chats[step["who"]]
        await me.wait_until(lambda _: any(said["from"] == speaker for said in heard), PATIENCE_S)
        return {"texts": [said["text"] for said in heard if said["from"] == speaker]}

    async def _record(self, step: Step) -> Result:
        me = await self._agent(step)
        for kind in COMMANDS:
            me.on(kind, lambda event: self._events.append(event.type))
        return {}

    async def _recorded(self, step: Step) -> Result:
        return {"types": self._events}

    async def _drop(self, step: Step) -> Result:
        (await self._agent(step)).drop_connection()
        return {}

    async def _stroll(self, step: Step) -> Result:
        """Begin a walk of several steps, and see that it has begun."""
        me = await self._agent(step)
        self._strolling = asyncio.create_task(me.move_to(*await self._away(me, STROLL)))
        # It ends with the agent, and nobody asks how.
        self._strolling.add_done_callback(lambda walk: walk.cancelled() or walk.exception())
        await me.wait_until(lambda view: view.me is not None and view.me.activity_state == "moving", PATIENCE_S)
        return {}

    async def _end(self, step: Step) -> Result:
        me = await self._agent(step)
        with contextlib.suppress(ChunkcrawlError):
            await me.wait_until(lambda _: False, PATIENCE_S)
        return self._error(me.ended) if me.ended else {}

    async def _go(self, step: Step) -> Result:
        me = await self._agent(step)
        x, y = await self._cell(me, step["to"])
        return self._outcome(await me.go_to(step["chunk"], x, y, timeout_s=PATIENCE_S))

    async def _harvest_nearest(self, step: Step) -> Result:
        me = await self._agent(step)
        return self._outcome(await me.harvest_nearest(step["amount"], explore=True, timeout_s=step["timeout_s"]))

    async def _follow(self, step: Step) -> Result:
        me = await self._agent(step)
        limit = {"timeout_s": step["timeout_s"]} if "timeout_s" in step else {}
        return self._outcome(await me.follow(self._name(step["whom"]), **limit))

    async def _past(self, step: Step) -> Result:
        """What is kept of it, once anything is: that is a moment later."""
        me = await self._agent(step)
        async with asyncio.timeout(PATIENCE_S):
            while not (entries := [entry async for entry in me.history(kinds=step["kinds"], limit=5)]):
                await asyncio.sleep(0.1)
        return {"kinds": [one.kind for one in entries], "texts": [one.details["text"] for one in entries]}

    async def _watch(self, step: Step) -> Result:
        return await self._watched(Watcher.chunk(self._base, step["chunk"], **self._watching(step)), step)

    async def _own(self, step: Step) -> Result:
        await self._agent(step)
        return await self._watched(Watcher.owner(self._base, self._name("a"), **self._watching(step)), step)

    # -- what they share --

    def _watching(self, step: Step) -> WatcherOptions:
        options = WatcherOptions(api_key=self._keys["own"])
        if "from_tick" in step:
            options["from_tick"], options["speed"] = step["from_tick"], step["speed"]
        return options

    async def _watched(self, watcher: Watcher, step: Step) -> Result:
        types: list[str] = []
        async with watcher, asyncio.timeout(PATIENCE_S), contextlib.aclosing(watcher.events()) as events:
            async for event in events:
                types.append(event.type)
                if len(types) == (5 if "from_tick" in step else 3):
                    break
        view = watcher.view
        return {"types": types, "chunk_id": view.chunk_id, "ready": view.ready, "sees_itself": view.me is not None}

    async def _agent(self, step: Step) -> Agent:
        who = str(step.get("who", "a"))
        if who not in self._agents:
            key = self._keys[who if who in ("keyless", "stranger") else "own"]
            name = self._name(step.get("as", who))
            retries = 0 if who == "hasty" else 5
            agent = Agent.connect(self._base, agent_id=name, api_key=key, retries=retries)
            self._agents[who] = await self._stack.enter_async_context(agent)
        return self._agents[who]

    def _name(self, who: str) -> str:
        return f"{self._prefix}-{who}"

    async def _cell(self, me: Agent, where: str) -> Point:
        if where in self._agents:
            return self._agents[where].position or (0, 0)
        if where != "beside":
            return {"wall": (0, 0), "outside": (50, 0), "door": (25, 49)}[where]

        return await self._away(me, 1)

    @staticmethod
    async def _away(me: Agent, far: int) -> Point:
        """A free inner cell so many steps away, once there is one: agents of earlier scenarios stay for a while."""

        def free(view: WorldView) -> list[Point]:
            cells = view.reachable().items()
            return [cell for cell, steps in cells if steps == far and not is_boundary(view.grid, *cell)]

        await me.wait_until(lambda view: bool(free(view)), PATIENCE_S)
        return free(me.view)[0]

    @staticmethod
    async def _done(command: Awaitable[Any]) -> Result:
        return {"is": "Completed", "reason": (await command).reason}

    @staticmethod
    def _outcome(outcome: Outcome) -> Result:
        said = {"is": type(outcome).__name__, "reason": outcome.reason, "ok": outcome.ok}
        return said | ({"why": outcome.why} if hasattr(outcome, "why") else {})

    def _error(self, error: ChunkcrawlError) -> Result:
        said: Result = {"is": type(error).__name__, "reason": error.reason}
        for field in ("status", "detail"):
            if hasattr(error, field):
                said[field] = getattr(error, field)
        blocker = getattr(error, "blocker", None)
        if blocker:
            said["blocker"] = blocker["id"].removeprefix(f"{self._prefix}-")
        return said | {"says_when": getattr(error, "retry_after_ms", None) is not None}
