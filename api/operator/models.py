"""Bodies of the operators' API.  Rows are made as plain data (the stream sends the same ones); these describe them."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, Field

from api.fields import one_line

MINUTES_MAX: Final = 525_600  # a year
SHARDS_MOST: Final = 256
BACKUP_NAME_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9_\-]{0,63}$"

Line = Annotated[str, Field(max_length=200), AfterValidator(one_line)]
Said = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(one_line)]
Minutes = Annotated[float, Field(ge=0.1, le=MINUTES_MAX, allow_inf_nan=False)]
BackupName = Annotated[str, Field(min_length=1, max_length=64, pattern=BACKUP_NAME_PATTERN)]


class Quantiles(BaseModel):
    """Milliseconds."""

    p50: float
    p95: float | None = None
    p99: float


class Me(BaseModel):
    """Who calls."""

    name: str
    role: Literal["viewer", "operator"]
    expires_at_ms: int | None


class HourPoint(BaseModel):
    """Figures of ten seconds."""

    at_ms: int
    agents: int
    connections: int
    commands_per_s: float
    refused_per_s: float
    tick_p50_ms: float
    tick_p99_ms: float
    commit_p50_ms: float
    commit_p99_ms: float
    refusals: dict[str, float] = Field(description="A second, by reason.")


class WorldState(BaseModel):
    """The world as a whole."""

    run: str
    seed: int | None
    shards: int
    wanted_shards: int
    bounds: list[int] | None = Field(description="The least and the most, where it scales by itself.")
    frozen: bool
    release: str


class Health(BaseModel):
    """Whether anything is wrong."""

    ok: bool
    problems: list[str]


class PresentFigures(BaseModel):
    """The present ones; times are the worst shard's."""

    agents: int
    chunks: int
    connections: int
    commands_per_s: float
    refused_per_s: float
    tick_ms: Quantiles
    commit_ms: Quantiles


class MovingNow(BaseModel):
    """What is moving between shards."""

    to_move: int
    moved: int
    under_way: int


class Overview(BaseModel):
    """How the world is, and was in the last hour."""

    at_ms: int
    world: WorldState
    health: Health
    figures: PresentFigures
    refusals: dict[str, float]
    moving: MovingNow
    hour: list[HourPoint]


class NodeRow(BaseModel):
    """A node of the cluster."""

    node: str
    name: str
    address: str
    alive: bool
    drained: bool
    by: str | None = Field(description="Who wished it empty: `operator`, or `scale` (the world by itself).")
    actors: list[str]
    cpus: float


class ActorRow(BaseModel):
    """A process of the world."""

    actor: str
    kind: str
    node: str
    pid: int | None
    state: str
    release: str
    cpu: float | None = Field(description="Of one core.")
    connections: int | None


class ShardRow(BaseModel):
    """A shard."""

    shard: int
    actor: str
    node: str
    state: Literal["ok", "silent", "stalled", "frozen"]
    tick: int | None
    epoch: int | None
    chunks: int
    agents: int
    cpu: float
    tick_ms: Quantiles | None
    commit_ms: Quantiles | None
    lag_ms: Quantiles | None
    ticks_skipped: int
    reloads: int
    pinned: bool


class Nodes(BaseModel):
    """All nodes."""

    rows: list[NodeRow]


class Actors(BaseModel):
    """All actors."""

    rows: list[ActorRow]


class Shards(BaseModel):
    """All shards."""

    rows: list[ShardRow]


class ChunkRow(BaseModel):
    """A chunk."""

    chunk_id: str
    shard: int
    agents: int
    cost_us: int = Field(description="Microseconds of a core a second; 0: not among its shard's costliest.")
    commands_per_s: float
    watchers: int
    pinned: bool
    frozen: bool
    moving: bool


class Chunks(BaseModel):
    """A page of chunks."""

    rows: list[ChunkRow]
    total: int
    next: str | None


class ChunkInfo(ChunkRow):
    """A chunk, its neighbours, and who stands in it."""

    neighbors: dict[str, str | None]
    members: list[str]


class MapColumns(BaseModel):
    """All chunks as columns: entries of the same place belong together."""

    at_ms: int
    ids: list[str]
    shard: list[int]
    agents: list[int]
    cost_us: list[int]
    x: list[int] = Field(description="By the links from chunk-0, to the east; two chunks may share a place.")
    y: list[int] = Field(description="To the north.")
    frozen: list[str]
    pinned: list[str]


class AgentRow(BaseModel):
    """An agent that stands in the world."""

    agent_id: str
    account_id: str
    chunk_id: str
    doing: str | None
    muted: bool
    connected: bool


class Agents(BaseModel):
    """A page of agents."""

    rows: list[AgentRow]
    total: int
    next: str | None


class StandingInfo(BaseModel):
    """An agent's strikes, and whether it is muted."""

    agent_id: str
    strikes: int
    forgets_in_ms: int
    muted_by: str | None
    muted_ms: int
    last_ms: int | None


class Standings(BaseModel):
    """A page of agents with strikes or a mute of late."""

    rows: list[StandingInfo]
    total: int
    next: str | None


class BanInfo(BaseModel):
    """A ban in force."""

    kind: Literal["agent", "account"]
    subject: str
    reason: str
    by: str
    at_ms: int
    until_ms: int | None


class Bans(BaseModel):
    """A page of bans."""

    rows: list[BanInfo]
    total: int
    next: str | None


class AgentDetails(BaseModel):
    """One agent."""

    agent_id: str
    account_id: str | None
    chunk_id: str | None
    here: bool
    x: int | None
    y: int | None
    doing: str | None
    tick: int | None
    inventory: dict[str, int]
    connected: bool
    connections: list[dict[str, Any]] = Field(description="Of the gateway that answers.")
    sessions: list[dict[str, Any]]
    standing: StandingInfo
    ban: BanInfo | None
    account_ban: BanInfo | None
    difficulty: int | None
    history: list[dict[str, Any]]


class Moves(BaseModel):
    """Chunks that have moved, the newest first, and the chunks and shards that are pinned."""

    under_way: list[dict[str, Any]]
    rows: list[dict[str, Any]]
    pinned: list[str]


class CheckFinding(BaseModel):
    """One thing that is wrong with the world."""

    code: str
    subject: str
    text: str


class CheckReport(BaseModel):
    """What a check of the world has seen, with the first of its findings."""

    chunks: int
    agents: int
    findings_total: int
    findings: list[CheckFinding]


class Job(BaseModel):
    """A backup or a check that runs in a process of its own."""

    job_id: str
    kind: Literal["backup", "verify", "fsck"]
    name: str
    state: Literal["running", "done", "failed", "lost"]
    step: str
    percent: int
    text: str
    by: str
    at_ms: int
    ended_ms: int | None
    report: CheckReport | None = Field(None, description="Of a check of the world (`fsck`), once it has ended.")


class Jobs(BaseModel):
    """The newest jobs, the newest first."""

    rows: list[Job]


class BackupRow(BaseModel):
    """A backup in the directory of the gateway that answers."""

    name: str
    at_ms: int
    bytes: int
    tick: int
    chunks: int
    agents: int


class Backups(BaseModel):
    """The backups there, the newest first, and the job that runs now."""

    rows: list[BackupRow]
    job: Job | None


class AuditInfo(BaseModel):
    """A line of the audit log."""

    audit_id: int
    at_ms: int
    operator: str
    role: str
    address: str
    action: str
    subject: str
    details: dict[str, Any]
    outcome: Literal["begun", "done", "refused", "failed"]
    reason: str | None
    ended_ms: int | None


class Audit(BaseModel):
    """A page of the audit log."""

    rows: list[AuditInfo]
    next: str | None


class OperatorInfo(BaseModel):
    """An operator, never with the token."""

    operator_id: str
    name: str
    role: str
    created_at_ms: int
    expires_at_ms: int | None
    revoked_at_ms: int | None


class Operators(BaseModel):
    """All operators."""

    rows: list[OperatorInfo]


# -- acting --


class Nothing(BaseModel):
    """An empty body."""


class MuteRequest(BaseModel):
    """For how long."""

    minutes: Minutes = 10


class BanRequest(BaseModel):
    """Why, and for how long."""

    reason: Line = ""
    minutes: Minutes | None = Field(None, description="None: until it is ended.")


class AnnounceRequest(BaseModel):
    """What everyone is told."""

    text: Said


class ScaleRequest(BaseModel):
    """How many shards there are to be."""

    shards: int = Field(ge=1, le=SHARDS_MOST)


class BackupRequest(BaseModel):
    """What the backup is called."""

    name: BackupName | None = Field(None, description="None: the time.")


class ActionDone(BaseModel):
    """What was done."""

    audit_id: int
    text: str = Field(description="In one line.")


class DoneStanding(ActionDone):
    """What was done, and how the agent stands now."""

    standing: StandingInfo


class DoneBan(ActionDone):
    """What was done, and the ban."""

    ban: BanInfo


class DoneChanged(ActionDone):
    """What was done, and whether that changed anything."""

    changed: bool


class DoneRevoked(ActionDone):
    """What was done, and how many sessions that ended."""

    revoked: int


class DoneJob(ActionDone):
    """What was begun."""

    job: Job
