"""The cluster as the coordinator last saw it (``cluster:status``), as rows for operators.

Pure but for ``read_status``: the same rows go into answers and into the stream.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

import orjson

from api.accounts.auth import RedisCalls
from api.errors import ApiError
from streaming import keys
from streaming.shared_clock import now_ms

Status = Mapping[str, Any]

NO_QUANTILES: Final = {"p50": 0.0, "p95": 0.0, "p99": 0.0}
#: Points of ``cluster:hour``, one every ten seconds.
HOUR_POINTS: Final = 360
SHORT_CHARS: Final = 8
PROBLEMS_MOST: Final = 20


async def read_status(redis: RedisCalls) -> Status:
    """Return the coordinator's last status.

    Raises:
        ApiError: ``unavailable``: it has written none in the last seconds.
    """
    found = await redis.command("GET", keys.STATUS)
    if not found:
        raise ApiError("unavailable", words="the coordinator has written no status in the last seconds")
    status: Status = orjson.loads(found)
    return status


async def read_hour(redis: RedisCalls) -> list[dict[str, Any]]:
    """Return the points of the last hour, oldest first."""
    found = await redis.command("LRANGE", keys.HOUR, 0, HOUR_POINTS - 1)
    return [orjson.loads(point) for point in reversed(found)]


def node_rows(status: Status, drained_by: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the nodes, those that have left among them.  ``drained_by``: who wished them empty, by full id."""
    return [
        {
            "node": node["node"],
            "name": node.get("name", ""),
            "address": node.get("address", ""),
            "alive": bool(node["alive"]),
            "drained": bool(node.get("drained")),
            "by": drained_by.get(node.get("id", "")),
            "actors": sorted(node.get("actors", {})),
            "cpus": node.get("cpus", 0.0),
        }
        for node in status["nodes"]
    ]


def actor_rows(status: Status) -> list[dict[str, Any]]:
    """Return the actors by name."""
    return [
        {
            "actor": name,
            "kind": name.partition("-")[0],
            "node": actor.get("node", "")[:SHORT_CHARS],
            "pid": actor.get("pid"),
            "state": _state(actor),
            "release": actor.get("release", ""),
            "cpu": actor.get("cpu"),
            "connections": actor.get("connections"),
        }
        for name, actor in sorted(status["actors"].items(), key=lambda item: _by_number(item[0]))
    ]


def shard_rows(status: Status, pinned: Collection[str], *, world_frozen: bool) -> list[dict[str, Any]]:
    """Return the shards by number; one that gives no answer has no figures."""
    rows = []
    for name, actor in sorted(status["actors"].items(), key=lambda item: _by_number(item[0])):
        if not name.startswith("shard-"):
            continue
        state = _state(actor)
        rows.append(
            {
                "shard": int(name.removeprefix("shard-")),
                "actor": name,
                "node": actor.get("node", "")[:SHORT_CHARS],
                "state": "frozen" if world_frozen and state == "ok" else state,
                "tick": actor.get("tick"),
                "epoch": actor.get("epoch"),
                "chunks": actor.get("chunks", 0),
                "agents": actor.get("agents", 0),
                "cpu": actor.get("cpu", 0.0),
                "tick_ms": actor.get("tick_ms"),
                "commit_ms": actor.get("commit_ms"),
                "lag_ms": actor.get("lag_ms"),
                "ticks_skipped": actor.get("ticks_skipped", 0),
                "reloads": actor.get("reloads", 0),
                "pinned": name in pinned,
            }
        )
    return rows


def overview(
    status: Status, point: Mapping[str, Any] | None, world: Mapping[str, str], *, frozen: bool, under_way: int
) -> dict[str, Any]:
    """Return the present figures.

    Args:
        point: the newest one of the hour.
        world: the fields of the hash ``world``.
    """
    shards = [actor for name, actor in status["actors"].items() if name.startswith("shard-")]
    gateways = [actor for name, actor in status["actors"].items() if name.startswith("gateway-")]
    problems = problems_in(status)
    newest = point or {}
    return {
        "at_ms": now_ms(),
        "world": {
            "run": world.get("run", ""),
            "seed": int(world["seed"]) if "seed" in world else None,
            "shards": status["shards"],
            "wanted_shards": int(world.get(keys.WANTED_SHARDS) or status["shards"]),
            "bounds": status.get("bounds") or None,
            "frozen": frozen,
            "release": status.get("release", ""),
        },
        "health": {"ok": not problems, "problems": problems},
        "figures": {
            "agents": sum(actor.get("agents", 0) for actor in shards),
            "chunks": sum(actor.get("chunks", 0) for actor in shards),
            "connections": sum(actor.get("connections", 0) for actor in gateways),
            "commands_per_s": newest.get("commands_per_s", 0.0),
            "refused_per_s": newest.get("refused_per_s", 0.0),
            "tick_ms": _worst(shards, "tick_ms"),
            "commit_ms": _worst(shards, "commit_ms"),
        },
        "refusals": newest.get("refusals", {}),
        "moving": {
            "to_move": status["moving"]["to_move"],
            "moved": status["moving"]["moved"],
            "under_way": under_way,
        },
    }


def problems_in(status: Status) -> list[str]:
    """Return what is wrong, one short line each."""
    found = []
    for name, actor in sorted(status["actors"].items(), key=lambda item: _by_number(item[0])):
        if "error" in actor:
            found.append(f"{name} gives no answer")
        elif actor.get("stalled"):
            found.append(f"{name} waits for Redis")
    if status["shards"] and not any(
        name.startswith("gateway-") and actor.get("started") for name, actor in status["actors"].items()
    ):
        found.append("no gateway takes connections")
    if paused := status.get("balance", {}).get("paused_s"):
        found.append(f"moves are paused for {paused:g} s, for one has failed")
    return found[:PROBLEMS_MOST]


def watchers_in(status: Status) -> dict[str, int]:
    """Return how many readers chunks have, over all gateways, those with the most alone."""
    found: dict[str, int] = {}
    for name, actor in status["actors"].items():
        if name.startswith("gateway-"):
            for chunk_id, count in actor.get("watchers", {}).items():
                found[chunk_id] = found.get(chunk_id, 0) + count
    return found


def _state(actor: Mapping[str, Any]) -> str:
    if "error" in actor:
        return "silent"
    if actor.get("stalled"):
        return "stalled"
    return "draining" if actor.get("draining") else "ok"


def _worst(shards: list[Mapping[str, Any]], name: str) -> Mapping[str, float]:
    return max((shard[name] for shard in shards if name in shard), key=lambda one: one["p99"], default=NO_QUANTILES)


def _by_number(name: str) -> tuple[str, int]:
    kind, _, number = name.partition("-")
    return kind, int(number) if number.isdecimal() else -1
