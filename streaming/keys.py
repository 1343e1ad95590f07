"""Names of the Redis keys and channels (docs/architecture.md, "Redis keys").

Every key is made here, so that a key's shape can be looked up and changed in one place; Lua scripts take what keys
begin with from here (``streaming.lua``).  A stream's Pub/Sub channel has the stream's own name.
"""

from __future__ import annotations

from typing import Final

WORLD: Final = "world"
CHUNKS: Final = "chunks"
POPULATION: Final = "population"
PRESENCE: Final = "presence"
STATUS: Final = "cluster:status"
METRICS: Final = "cluster:metrics"
PINS: Final = "balance:pins"
MOVES: Final = "balance:moves"
MOVES_UNDER_WAY: Final = "balance:under_way"
DRAINED: Final = "cluster:drained"
FROZEN: Final = "cluster:frozen"
HOUR: Final = "cluster:hour"
LOADS: Final = "cluster:loads"
JOBS: Final = "operator:jobs"
REBALANCE: Final = "balance:now"
WANTED_SHARDS: Final = "wanted_shards"
ARCHIVE_STREAM: Final = "stream:archive"
RECORDING_STREAM: Final = "stream:recording"
#: Hash: the header of each shard's newest life, JSON, for a recorder that begins in the middle of it.
RECORDING_HEADERS: Final = "recording:headers"
SESSIONS_CHANNEL: Final = "ctl:sessions"
#: What operators have for all gateways: ``notice <JSON>``, ``bans``, ``disconnect <agent id>``.
OPERATORS_CHANNEL: Final = "ctl:operators"

#: Newest entries kept of one agent's stream.  An agent gets a few events a second at most, so this is minutes.
AGENT_STREAM_MAXLEN: Final = 512

#: How long the stream of an agent that gets no events is kept, at least.
AGENT_STREAM_TTL_S: Final = 86_400
#: Commits prolong its life no more often than this, and for so much longer.
PROLONG_EVERY_S: Final = 3_600
PROLONGED_S: Final = AGENT_STREAM_TTL_S + PROLONG_EVERY_S

CHUNK_STREAM_PREFIX: Final = "stream:chunk:"
AGENT_STREAM_PREFIX: Final = "stream:agent:"


def shard(number: int) -> str:
    return f"shard:{number}"


def adopt(shard_number: int) -> str:
    return f"adopt:{shard_number}"


def chunk(chunk_id: str) -> str:
    return f"chunk:{chunk_id}"


def chunk_static(chunk_id: str) -> str:
    return f"static:{chunk_id}"


def members(chunk_id: str) -> str:
    return f"members:{chunk_id}"


def reservations(chunk_id: str) -> str:
    return f"resv:{chunk_id}"


def inbox(chunk_id: str) -> str:
    return f"inbox:{chunk_id}"


def agent(agent_id: str) -> str:
    return f"agent:{agent_id}"


def chunk_stream(chunk_id: str) -> str:
    return CHUNK_STREAM_PREFIX + chunk_id


def agent_stream(agent_id: str) -> str:
    return AGENT_STREAM_PREFIX + agent_id


def agent_control(agent_id: str) -> str:
    return f"ctl:agent:{agent_id}"


def connection(agent_id: str) -> str:
    return f"conn:{agent_id}"


def agent_position(agent_id: str) -> str:
    return f"agentpos:{agent_id}"


def challenge(server_cmd_id: str) -> str:
    return f"chal:{server_cmd_id}"


def inflight(agent_id: str) -> str:
    return f"inflight:{agent_id}"


def session(token_hash: str) -> str:
    return f"sess:{token_hash}"


def session_by_jti(jti: str) -> str:
    return f"jti:{jti}"


def chunk_digests(chunk_id: str) -> str:
    return f"digests:{chunk_id}"


def neighbor_lock(chunk_id: str, direction: str) -> str:
    return f"lock:chunk:{chunk_id}:dir:{direction}"
