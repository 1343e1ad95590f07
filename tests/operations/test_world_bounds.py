"""Records of a world as a shard writes them pass; whatever else somebody puts into a backup is named and refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from cluster.chunk_dump import ChunkDump
from cluster.world_rules import stored
from operations.world_bounds import WorldOutOfBounds, check_bounds
from operations.world_dump import WorldDump
from world.genesis import new_chunk
from world.ids import AgentId, ChunkId, ServerCmdId, Tick
from world.records import AgentRecord, RunningCommand
from world.rules import Rules, WorldRules


def running(kind: str, **details: Any) -> RunningCommand:
    return RunningCommand(kind, ServerCmdId("cmd-1"), "c-1", "trace", Tick(3), 1, details)


WALK = running("move_to", target=[0, 25], origin=[3, 25], path="WWW")
SAY = running("say", text="hällo 😀 \u200d")
DIG = running("harvest", node_id="chunk-0-node-1", due_tick=9, harvested=2)
GIVE = running("give", agent_id="b", amount=10**9)


RULES = stored(WorldRules())


def packed(value: Any) -> str:
    return orjson.dumps(value).decode()


def record(command: RunningCommand | None = None, agent_id: str = "a.b-c_1") -> dict[str, Any]:
    return AgentRecord(AgentId(agent_id), ChunkId("chunk-0"), 3, 25, "Ädä 🦊", 7, running=command).to_json()


def world() -> WorldDump:
    """A hall with somebody in it and somebody on the way, as ``read_world`` gives it."""
    state = new_chunk(1, 0, None, Rules()).to_json()
    state["nodes"] = [{"node_id": "chunk-0-node-0", "remaining": 5, "state": "available", "version": 0}]
    delta = {
        "chunk_id": "chunk-0",
        "tick": 9,
        "agents": [{"id": "a.b-c_1", "x": 3, "y": 25, "activity_state": "moving"}],
        "npcs": state["npcs"],
        "resources": state["nodes"],
        "events": [],
    }
    fields = {"number": "0", "entry": "", "pinned": "1", "shard": "1", "N": "chunk-1", "state": packed(state)}
    hall = ChunkDump(
        fields,
        ["a.b-c_1"],
        {"ho-1": packed({"record": record(agent_id="b"), "x": 0, "y": 25, "shard": 1})},
        {"0,25": "ho-1 17"},
        "9-0",
        f"8-0 chunk_delta 1 tick-9\n{packed(delta)}",
    )
    there = ChunkDump({"number": "1", "entry": "S", "pinned": "0", "shard": "0", "S": "chunk-0"})
    agent = {"here": "1", "chunk": "chunk-0", "busy": "move_to", "rec": packed(record(WALK)), "seq": "5", "at": "9"}
    return WorldDump(
        {
            "seed": "-9223372036854775808",
            "shard_count": "2",
            "next_chunk": "2",
            "epoch_ms": "1796010518860",
            "new": "x",
            **RULES,
        },
        {"0": {"epoch": "1796010518", "holder": "09781b695d246f2b", "seq": "30", "tick": "50"}, "1": {}},
        {"chunk-0": hall, "chunk-1": there},
        {"a.b-c_1": agent, "away": {"account": "acc_1", "chunk": "chunk-7"}},
        "1796010520381-1",
        {"1796010520381-0": packed({"fact": "chat", "tick": 3, "agent_id": "b", "text": "\u001b"})},
    )


@pytest.mark.parametrize("command", [None, WALK, SAY, DIG, GIVE])
def test_what_a_shard_writes_passes(command: RunningCommand | None) -> None:
    dump = world()
    dump.agents["a.b-c_1"]["rec"] = packed(record(command))
    check_bounds(dump)


def in_record(**changes: Any) -> Callable[[WorldDump], None]:
    def change(dump: WorldDump) -> None:
        dump.agents["a.b-c_1"]["rec"] = packed(record(WALK) | changes)

    return change


def in_walk(**changes: Any) -> Callable[[WorldDump], None]:
    return in_record(running=WALK.to_json() | changes)


def in_state(**changes: Any) -> Callable[[WorldDump], None]:
    def change(dump: WorldDump) -> None:
        fields = dump.chunks["chunk-0"].fields
        fields["state"] = packed(orjson.loads(fields["state"]) | changes)

    return change


def in_delta(**changes: Any) -> Callable[[WorldDump], None]:
    def change(dump: WorldDump) -> None:
        head, _, payload = dump.chunks["chunk-0"].last.partition("\n")
        dump.chunks["chunk-0"].last = f"{head}\n{packed(orjson.loads(payload) | changes)}"

    return change


def put(where: str, *path: str | int, value: Any) -> Callable[[WorldDump], None]:
    def change(dump: WorldDump) -> None:
        if not path:
            setattr(dump, where, value)
            return
        place: Any = getattr(dump, where)
        for step in path[:-1]:
            place = getattr(place, str(step)) if isinstance(place, ChunkDump) else place[step]
        if isinstance(place, ChunkDump):
            setattr(place, str(path[-1]), value)
        else:
            place[path[-1]] = value

    return change


BAD_RULES: tuple[Any, ...] = ("", "-1", "\x1b[2J", "9" * 5_000, 7, [])
NPC = {"id": "n", "x": 1, "y": 1, "kind": "slime"}


@pytest.mark.parametrize(
    "change",
    [
        *(
            put("world", "shard_count", value=v)
            for v in ("0", "257", "1000000000", "-1", " 1", "1_0", "١", "", 2, None)
        ),
        *(put("world", "seed", value=v) for v in ("9223372036854775808", "1e3", "x", "1\x00", "9" * 5_000)),
        *(put("world", "epoch_ms", value=v) for v in ("99999999999999999", "-5", "1.5", "")),
        put("world", "next_chunk", value="1" + "0" * 15),
        put("world", "run", value="run:1 2"),
        put("world", value={"seed": "1", "shard_count": "2", "epoch_ms": "9", "tick_hz": "5"}),
        *(put("world", name, value=v) for name in RULES for v in BAD_RULES),
        put("world", "gold_nodes_min", value="7"),
        put("world", "note", value="\x1b[2J"),
        put("world", "note", value="x" * 5_000),
        put("world", "note", value={"a": 1}),
        put("world", value=[]),
        put("shards", value=[]),
        put("shards", value={"1000000": {}}),
        put("shards", value={"-1": {}}),
        put("shards", "0", "epoch", value="9" * 16),
        put("shards", "0", value="x"),
        put("chunks", "a:b", value=ChunkDump({})),
        put("chunks", "chunk-0\n", value=ChunkDump({})),
        put("chunks", "\x1b[2J", value=ChunkDump({})),
        put("chunks", "chunk-9", value=ChunkDump({"number": "8", "entry": "", "shard": "0"})),
        put("chunks", "chunk-0", "fields", value=[]),
        put("chunks", "chunk-0", "fields", "shard", value="256"),
        put("chunks", "chunk-0", "fields", "N", value="chunk 1"),
        put("chunks", "chunk-0", "fields", "entry", value="Z"),
        put("chunks", "chunk-0", "fields", "pinned", value="yes"),
        put("chunks", "chunk-0", "fields", "state", value="{"),
        put("chunks", "chunk-0", "fields", "state", value="[" * 5_000),
        put("chunks", "chunk-0", "members", value=["a"] * 2_501),
        put("chunks", "chunk-0", "members", value=["a b"]),
        put("chunks", "chunk-0", "members", value=[["a"]]),
        put("chunks", "chunk-0", "members", value={"a": 1}),
        put("chunks", "chunk-0", "inbox", value={"ho": packed({"record": record(), "x": 50, "y": 0})}),
        put("chunks", "chunk-0", "inbox", value={"ho": "null"}),
        put("chunks", "chunk-0", "reserved", value={"0,0\x07": "x"}),
        put("chunks", "chunk-0", "last_id", value="0"),
        put("chunks", "chunk-0", "last_id", value="9" * 19 + "-0"),
        put("chunks", "chunk-0", "last", value="x\n[1]"),
        put("chunks", "chunk-0", "last", value="x\n{"),
        put("chunks", "chunk-0", "last", value=7),
        put("agents", "a/b", value={}),
        put("agents", "a" * 129, value={}),
        put("agents", "away", value=[]),
        put("agents", "away", "here", value="2"),
        put("agents", "away", "busy", value="fly"),
        put("agents", "away", "seq", value="-2"),
        put("agents", "away", "account", value="acc 1"),
        put("agents", "away", "rec", value=packed(record())),  # of somebody else
        put("archived", value="253402300800000000-0"),
        put("archived", value=None),
        put("facts", "x", value="{}"),
        put("facts", "1-1", value="null"),
        put("facts", "1-1", value=packed({"fact": "chat", "tick": 2**60})),
        put("facts", "1-1", value=packed({"fact": "chat", "tick": 1, "chunk_id": ["x"]})),
        *(in_record(x=v) for v in (-1, 50, 10**9, 1.0, "1", True, None)),
        *(in_record(gold=v) for v in (-1, 2**51, 1e3, "7")),
        in_record(name="\x1b]0;owned\x07"),
        in_record(name="x" * 5_000),
        in_record(kind="root"),
        in_record(chunk_id="../x"),
        in_record(recent=["x"] * 1_001),
        in_record(more=1),
        in_walk(path="N" * 2_501),
        in_walk(path="NX"),
        in_walk(target=[50, 0]),
        in_walk(target=[1]),
        in_walk(order=-1),
        in_walk(kind="exec"),
        in_walk(server_cmd_id="a b"),
        in_walk(text="\x9b2J"),
        in_walk(amount=2**60),
        in_walk(more={"deep": []}),
        in_state(number=10**9),
        in_state(chunk_id="chunk-1"),
        in_state(tick=2**60),
        in_state(npcs=[NPC] * 2_501),
        in_state(npcs=[NPC | {"x": 99}]),
        in_state(nodes=[{"node_id": "n", "remaining": -5, "state": "available", "version": 0}]),
        in_state(neighbors={"up": None}),
        in_state(events=[1]),
        in_state(extra={}),
        in_delta(agents=[{"id": "a", "x": 1}]),
        in_delta(agents={"a": 1}),
        in_delta(npcs=[NPC | {"y": -3}]),
        in_delta(tick="9"),
        in_delta(resources=None),
    ],
)
def test_what_no_shard_writes_is_named_in_a_line(change: Callable[[WorldDump], None]) -> None:
    dump = world()
    change(dump)
    with pytest.raises(WorldOutOfBounds) as error:
        check_bounds(dump)
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 500
