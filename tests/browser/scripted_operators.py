"""Operators' API of a made-up world, for the console: as many chunks and agents as one wants, and actions that do."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from starlette.responses import JSONResponse, StreamingResponse

from api import console_page
from tests.browser.scripted import ScriptedServer, agent, gold, listening, refusal, sse

MINUTE_MS: Final = 60_000
OPERATOR: Final = "dco_operator"
VIEWER: Final = "dco_viewer"
ROLES: Final = {OPERATOR: ("alice", "operator"), VIEWER: ("vera", "viewer")}
POINTS: Final = 360
NODES: Final = 3
#: The shard whose ticks are late, if there are so many.
SLOW_SHARD: Final = 2

Row = dict[str, Any]


def now_ms() -> int:
    return int(time.time() * 1000)


def three(p50: float) -> Row:
    return {"p50": p50, "p95": round(p50 * 2.1, 1), "p99": round(p50 * 3.2, 1)}


class MadeUpWorld(ScriptedServer):
    """A world that has only an operators' side; it stands still but for what operators do."""

    def __init__(self, *, chunks: int = 60, agents: int = 40, shards: int = 4) -> None:
        super().__init__()
        #: The tokens that are good, by what ``/me`` says of them.
        self.tokens = dict(ROLES)
        self.requested: list[str] = []
        #: Reasons with which paths (their ends) are refused: status, reason, text.
        self.refuse: dict[str, tuple[int, str, str]] = {}
        self.shards = shards
        self.side = math.isqrt(max(0, chunks - 1)) + 1
        self.ids = [f"chunk-{number}" for number in range(chunks)]
        self.agents = {name: self._agent(number, name) for number, name in enumerate(names(agents))}
        self.standings: dict[str, Row] = {}
        self.bans: dict[tuple[str, str], Row] = {}
        self.audit: list[Row] = []
        self.jobs: list[Row] = []
        self.backups: list[Row] = []
        self.marks: Row = {"frozen": [], "world_frozen": False, "pinned": [], "moving": []}
        self.wanted_shards = shards
        self.drained: dict[str, str] = {}
        self._watching: set[asyncio.Queue[bytes | None]] = set()
        self.add_chunk("chunk-0", gold("g-0", 22, 30), gold("g-1", 30, 20), E="chunk-1")
        self.delta("chunk-0", 100, [agent("scout-1", 25, 25), agent("miner-7", 20, 27)])

    def _agent(self, number: int, name: str) -> Row:
        return {
            "agent_id": name,
            "account_id": f"acc_{number // 5}",
            "chunk_id": self.ids[(number * number) % len(self.ids)],
            "doing": (None, "move_to", "harvest", "say")[number % 4],
            "muted": False,
            "connected": number % 9 != 0,
        }

    # -- what a test does --

    def tell(self, *kinds: str) -> None:
        """Send these events, as they are now, to all who look."""
        for kind in kinds:
            self._send(kind, self._events[kind]())

    def cut_operators(self) -> None:
        """End all streams of operators."""
        for queue in self._watching:
            queue.put_nowait(None)

    def strike(self, agent_id: str, strikes: int) -> None:
        self.standings[agent_id] = {
            "agent_id": agent_id,
            "strikes": strikes,
            "forgets_in_ms": 42 * MINUTE_MS,
            "muted_by": None,
            "muted_ms": 0,
            "last_ms": now_ms() - 90_000,
        }
        self.tell("moderation")

    def _send(self, kind: str, fields: Row) -> None:
        for queue in self._watching:
            queue.put_nowait(sse(kind, fields))

    # -- what the world is --

    @property
    def _events(self) -> dict[str, Callable[[], Row]]:
        return {
            "overview": self._overview,
            "hour": lambda: {"points": [point(back) for back in range(POINTS - 1, -1, -1)]},
            "nodes": lambda: {"rows": self.nodes()},
            "actors": lambda: {"rows": self.actors()},
            "shards": lambda: {"rows": [self._shard(number) for number in range(self.shards)]},
            "chunks": lambda: {"whole": True, **self._columns()},
            "marks": lambda: self.marks,
            "moves": self._moves,
            "jobs": lambda: {"rows": self.jobs},
            "moderation": lambda: {"rows": list(self.standings.values())},
            "bans": lambda: {"rows": list(self.bans.values()), "total": len(self.bans)},
            "audit": lambda: {"rows": self.audit[:50]},
        }

    def _overview(self) -> Row:
        last = point(0)
        return {
            "at_ms": now_ms(),
            "world": {
                "run": "run-1",
                "seed": 7,
                "shards": self.shards,
                "wanted_shards": self.wanted_shards,
                "bounds": [2, 8],
                "frozen": self.marks["world_frozen"],
                "release": "0.1.0",
            },
            "health": {"ok": True, "problems": []},
            "figures": {
                "agents": len(self.agents),
                "chunks": len(self.ids),
                "connections": len(self.agents) + 11,
                "commands_per_s": last["commands_per_s"],
                "refused_per_s": last["refused_per_s"],
                "tick_ms": {"p50": last["tick_p50_ms"], "p99": last["tick_p99_ms"]},
                "commit_ms": {"p50": last["commit_p50_ms"], "p99": last["commit_p99_ms"]},
            },
            "refusals": {
                "rate_limited": 1.6,
                "busy": 0.9,
                "banned_words": 0.4,
                "too_far": 0.3,
                "unreachable": 0.2,
                "muted": 0.1,
            },
            "moving": {"to_move": 2, "moved": 12, "under_way": 1},
        }

    def nodes(self) -> list[Row]:
        made = []
        for number in range(NODES):
            node = f"{number}f2a90c4d1e8"
            made.append(
                {
                    "node": node,
                    "name": f"node-{number + 1}",
                    "address": f"10.0.0.{11 + number}",
                    "alive": True,
                    "drained": node in self.drained,
                    "by": self.drained.get(node),
                    "actors": [one["actor"] for one in self.actors() if one["node"] == node],
                    "cpus": 8.0,
                }
            )
        return made

    def actors(self) -> list[Row]:
        names_of = [f"shard-{number}" for number in range(self.shards)] + ["gateway-0", "gateway-1", "archiver"]
        free = [f"{number}f2a90c4d1e8" for number in range(NODES) if f"{number}f2a90c4d1e8" not in self.drained]
        return [
            {
                "actor": name,
                "kind": name.partition("-")[0],
                "node": free[number % len(free)],
                "pid": 4000 + number,
                "state": "ok",
                "release": "0.1.0",
                "cpu": 0.08 + 0.05 * (number % 5),
                "connections": 25 + number if name.startswith("gateway") else None,
            }
            for number, name in enumerate(names_of)
        ]

    def _shard(self, number: int) -> Row:
        actor = next(one for one in self.actors() if one["actor"] == f"shard-{number}")
        slow = number == SLOW_SHARD
        mine = [chunk for place, chunk in enumerate(self.ids) if self._owner(place) == number]
        return {
            "shard": number,
            "actor": actor["actor"],
            "node": actor["node"],
            "state": "ok",
            "tick": 12_345,
            "epoch": 3,
            "chunks": len(mine),
            "agents": sum(one["chunk_id"] in mine for one in self.agents.values()) if len(mine) < 100 else 1250,
            "cpu": 0.83 if slow else 0.2 + 0.03 * number,
            "tick_ms": three(12.8 if slow else 2.4 + 0.3 * number),
            "commit_ms": three(0.9 + 0.05 * number),
            "lag_ms": three(0.4),
            "ticks_skipped": 31 if slow else 0,
            "reloads": 0,
            "pinned": False,
        }

    def _owner(self, place: int) -> int:
        x, y = place % self.side, place // self.side
        return (
            int(2 * x / self.side) + 2 * int(2 * y / self.side) if self.shards == 4 else (x // 4 + y // 4) % self.shards
        )

    def _columns(self) -> Row:
        standing = dict.fromkeys(self.ids, 0)
        for one in self.agents.values():
            standing[one["chunk_id"]] += 1
        places = range(len(self.ids))
        return {
            "ids": self.ids,
            "shard": [self._owner(place) for place in places],
            "agents": [standing[chunk] for chunk in self.ids],
            "cost_us": [
                standing[chunk] * 900 + (place * 37) % 400 if standing[chunk] else None
                for place, chunk in enumerate(self.ids)
            ],
            "commands_per_s": [standing[chunk] * 0.6 or None for chunk in self.ids],
            "watchers": [(place % 11 == 0 and 1) or 0 for place in places],
        }

    def _moves(self) -> Row:
        ended = [
            {
                "chunk_id": f"chunk-{number * 3}",
                "from_shard": SLOW_SHARD,
                "to_shard": 0,
                "reason": "balance",
                "at_ms": now_ms() - number * 70_000,
                "outcome": "moved",
                "pause_ms": 11.5 + number,
            }
            for number in range(1, 6)
        ]
        under = {**ended[0], "chunk_id": "chunk-5", "at_ms": now_ms() - 800, "outcome": None, "pause_ms": None}
        return {"rows": ended, "under_way": [under]}

    # -- what the page asks for --

    def add_routes(self, inner: FastAPI) -> None:
        super().add_routes(inner)
        inner.include_router(console_page.router)
        inner.add_api_route("/v1/operator/stream", self._operator_stream)
        inner.add_api_route("/v1/operator/{path:path}", self._read, methods=["GET"])
        inner.add_api_route("/v1/operator/{path:path}", self._act, methods=["POST", "DELETE"])

    def _who(self, request: Request) -> tuple[str, str] | None:
        return self.tokens.get(request.headers.get("authorization", "").removeprefix("Bearer "))

    async def _operator_stream(self, request: Request) -> Response:
        self.requested.append("GET stream")
        who = self._who(request)
        if self.away:
            return refusal(503, "unavailable")
        if who is None:
            return refusal(401, "invalid_token")
        return StreamingResponse(self._told(who), media_type="text/event-stream")

    async def _told(self, who: tuple[str, str]) -> AsyncGenerator[bytes, None]:
        queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._watching.add(queue)
        try:
            yield b"retry: 50\n\n" + sse("hello", {"name": who[0], "role": who[1], "period_ms": 2000})
            for kind, made in self._events.items():
                yield sse(kind, made())
            while (item := await queue.get()) is not None:
                yield item
        finally:
            self._watching.discard(queue)

    async def _read(self, request: Request, path: str) -> Response:
        self.requested.append(f"GET {path}")
        who = self._who(request)
        if self.away:
            return refusal(503, "unavailable")
        if who is None:
            return refusal(401, "invalid_token")
        what, _, name = path.partition("/")
        answers: dict[str, Callable[[], Any]] = {
            "me": lambda: {"name": who[0], "role": who[1], "expires_at_ms": None},
            "map": self._map,
            "agents": lambda: self._one_agent(name) if name else self._page(request),
            "chunks": lambda: {"members": [one["agent_id"] for one in self.agents.values() if one["chunk_id"] == name]},
            "backups": lambda: {"rows": self.backups, "job": None},
            "operators": lambda: {"rows": operators()},
            "audit": lambda: {"rows": self._audit_of(request.query_params.get("outcome")), "next": None},
        }
        found = answers[what]() if what in answers else None
        return refusal(404, f"{what[:-1]}_not_found") if found is None else JSONResponse(found)

    def _audit_of(self, outcome: str | None) -> list[Row]:
        return [line for line in self.audit if not outcome or line["outcome"] == outcome]

    def _map(self) -> Row:
        places = range(len(self.ids))
        columns = self._columns()
        return {
            "at_ms": now_ms(),
            "ids": self.ids,
            "shard": columns["shard"],
            "agents": columns["agents"],
            "cost_us": [cost or 0 for cost in columns["cost_us"]],
            "x": [place % self.side for place in places],
            "y": [place // self.side for place in places],
            "frozen": self.marks["frozen"],
            "pinned": self.marks["pinned"],
        }

    def _page(self, request: Request) -> Row:
        query = request.query_params
        key = {"agent": "agent_id", "chunk": "chunk_id", "doing": "doing"}[query.get("sort", "agent")]
        rows = sorted(self.agents.values(), key=lambda one: str(one[key] or ""), reverse=query.get("order") == "desc")
        rows = [
            one
            for one in rows
            if query.get("q", "") in one["agent_id"] and query.get("chunk", one["chunk_id"]) == one["chunk_id"]
        ]
        first, limit = int(query.get("cursor", 0)), int(query.get("limit", 100))
        after = first + limit
        return {"rows": rows[first:after], "total": len(rows), "next": str(after) if after < len(rows) else None}

    def _one_agent(self, name: str) -> Row | None:
        found = self.agents.get(name)
        if found is None:
            return None
        calm = {"agent_id": name, "strikes": 0, "forgets_in_ms": None, "muted_by": None, "muted_ms": 0, "last_ms": None}
        return found | {
            "here": True,
            "x": 24,
            "y": 31,
            "tick": 12_345,
            "inventory": {"gold": 5},
            "connections": [],
            "sessions": [session()],
            "standing": self.standings.get(name, calm),
            "ban": self.bans.get(("agent", name)),
            "account_ban": self.bans.get(("account", found["account_id"])),
            "difficulty": 2,
            "history": history(found["chunk_id"]),
        }

    async def _act(self, request: Request, path: str) -> Response:
        self.requested.append(f"{request.method} {path}")
        body = await request.json() if request.method == "POST" else {}
        who = self._who(request)
        if who is None:
            return refusal(401, "invalid_token")
        what, name, action = (
            ["", *path.split("/")][-3:] if path.count("/") == 2 else (path.split("/")[0], "", path.split("/")[-1])
        )
        outcome = next((why for end, why in self.refuse.items() if path.endswith(end)), None)
        if who[1] != "operator":
            outcome = (403, "invalid_scope", "")
        with_kind = f"{what[:-1]} {name}" if name else ""
        line = {
            "audit_id": len(self.audit) + 1,
            "at_ms": now_ms(),
            "operator": who[0],
            "role": who[1],
            "address": "10.0.0.9",
            "action": action,
            "subject": with_kind or None,
            "details": body,
            "outcome": "refused" if outcome else "done",
            "reason": outcome[1] if outcome else None,
            "ended_ms": now_ms(),
        }
        self.audit.insert(0, line)
        self.tell("audit")
        if outcome:
            said = {"text": outcome[2]} if outcome[2] else {}
            return JSONResponse({"detail": outcome[1], **said}, status_code=outcome[0])
        text = self._do(what, name, action, body, who[0], request.method)
        return JSONResponse({"audit_id": line["audit_id"], "text": text})

    def _do(self, what: str, name: str, action: str, body: Row, by: str, method: str) -> str:
        if action in ("mute", "unmute"):
            self.strike(name, self.standings.get(name, {}).get("strikes", 0))
            muted = {"muted_by": "operator", "muted_ms": body["minutes"] * MINUTE_MS} if action == "mute" else {}
            self.standings[name] |= muted
            self.tell("moderation")
            return f"{name} is muted for {body['minutes']} min." if action == "mute" else f"{name} may talk again."
        if action in ("ban", "unban"):
            kind = what[:-1]
            self.bans.pop((kind, name), None)
            if action == "ban":
                until = now_ms() + body["minutes"] * MINUTE_MS if body["minutes"] else None
                ban = {"kind": kind, "subject": name, "reason": body["reason"], "by": by, "at_ms": now_ms()}
                self.bans[kind, name] = ban | {"until_ms": until}
            self.tell("bans")
            return f"{name} is {action}ned."
        if action in ("freeze", "thaw"):
            frozen: list[str] = self.marks["frozen"]
            if path_is_world := not name:
                self.marks["world_frozen"] = action == "freeze"
            else:
                frozen[:] = [one for one in frozen if one != name] + ([name] if action == "freeze" else [])
            self.tell("marks", "overview")
            return f"{'The world' if path_is_world else name} is {'frozen' if action == 'freeze' else 'thawed'}."
        if action in ("drain", "undrain"):
            self.drained.pop(name, None)
            if action == "drain":
                self.drained[name] = "operator"
            self.tell("nodes", "actors", "shards")
            return f"{name} is {'being drained' if action == 'drain' else 'taken back'}."
        if what == "pins":
            pinned: list[str] = self.marks["pinned"]
            pinned[:] = [one for one in pinned if one != action] + ([action] if method == "POST" else [])
            self.tell("marks")
            return f"{action} is {'pinned' if method == 'POST' else 'free'}."
        if action == "scale":
            self.wanted_shards = body["shards"]
            self.tell("overview")
            return f"There are to be {body['shards']} shards."
        if action in ("backups", "verify", "fsck"):
            self.jobs.insert(0, job("backup" if action == "backups" else action, body.get("name") or name, by))
            self.tell("jobs")
            return "Begun."
        return f"{action}: done."

    def advance_job(self, percent: int) -> None:
        """The newest job goes on; at 100 it is done, and if it is a backup, one more lies there."""
        newest = self.jobs[0]
        newest |= {"percent": percent, "step": "rows" if percent < 100 else "done"}
        if percent == 100:
            newest |= {"state": "done", "ended_ms": now_ms(), "text": "10 chunks, 5 agents"}
            if newest["kind"] == "backup":
                self.backups.append(backup(newest["name"], now_ms()))
        self.tell("jobs")


def names(count: int) -> list[str]:
    kinds = ("scout", "miner", "trader", "walker", "singer")
    return [f"{kinds[number % len(kinds)]}-{number}" for number in range(1, count + 1)]


def point(back: int) -> Row:
    """What the world did ``back`` times ten seconds ago: busy twenty minutes ago, late since a few."""
    wave = math.sin(back / 21) * 60 + math.sin(back / 4.3) * 18
    busy = 340 * math.exp(-(((back - 120) / 14) ** 2))
    noise = (back * 7919) % 23
    late = 30 / (1 + math.exp((back - 45) / 6))
    return {
        "at_ms": now_ms() - back * 10_000,
        "agents": round(4800 + wave * 3),
        "connections": round(4950 + wave * 3),
        "commands_per_s": round(810 + wave + noise + busy, 1),
        "refused_per_s": round(3 + noise / 9 + busy / 5, 1),
        "tick_p50_ms": round(3 + wave / 90 + busy / 90, 2),
        "tick_p99_ms": round(11 + noise / 5 + busy / 6 + late, 2),
        "commit_p50_ms": round(1.2 + wave / 300, 2),
        "commit_p99_ms": round(4 + noise / 8 + busy / 80, 2),
        "refusals": {"busy": 1.5},
    }


def session() -> Row:
    return {
        "session_jti": "jti_1",
        "role": "agent",
        "created_at_ms": now_ms() - 11 * MINUTE_MS,
        "expires_at_ms": now_ms() + 8 * MINUTE_MS,
        "revoked": False,
        "alive": True,
    }


def history(chunk_id: str) -> list[Row]:
    said = {"text": "BUY GOLD at my shop!!! BUY GOLD at my shop!!!"}
    lines: list[Row] = []
    for number in range(14):
        kind = ("chat", "result", "harvest", "crossing")[number % 4]
        details = {
            "chat": said,
            "result": {
                "command": "move_to",
                "asked": {"x": 12 + number, "y": 30},
                "status": "completed",
                "reason": None,
            },
            "harvest": {"node_id": "g-0", "amount": 1, "gold": 5},
            "crossing": {"to_chunk_id": chunk_id, "x": 0, "y": 25},
        }[kind]
        at = now_ms() - number * 9_000
        lines.append(
            {
                "entry_id": str(number),
                "at_ms": at,
                "tick": 12_345 - number * 45,
                "chunk_id": chunk_id,
                "kind": kind,
                "details": details,
            }
        )
    return lines


def operators() -> list[Row]:
    made = now_ms() - 9 * 86_400_000
    one = {"created_at_ms": made, "expires_at_ms": made + 90 * 86_400_000, "revoked_at_ms": None}
    return [
        one | {"operator_id": "op_1", "name": "alice", "role": "operator"},
        one | {"operator_id": "op_2", "name": "vera", "role": "viewer"},
        one | {"operator_id": "op_3", "name": "otto", "role": "operator", "revoked_at_ms": made + 86_400_000},
    ]


def job(kind: str, name: str | None, by: str) -> Row:
    return {
        "job_id": f"job_{now_ms()}",
        "kind": kind,
        "name": name or "2026-11-30T1400Z",
        "state": "running",
        "step": "world",
        "percent": 10,
        "text": "",
        "by": by,
        "at_ms": now_ms(),
        "ended_ms": None,
    }


def backup(name: str, at_ms: int) -> Row:
    return {"name": name, "at_ms": at_ms, "bytes": 48_312_005, "tick": 12_345, "chunks": 60, "agents": 40}


@asynccontextmanager
async def made_up(**options: Any) -> AsyncIterator[MadeUpWorld]:
    """A made-up world that listens."""
    world = MadeUpWorld(**options)
    async with listening(world.app()) as base:
        world.base = base
        try:
            yield world
        finally:
            with contextlib.suppress(RuntimeError):
                world.cut_operators()
