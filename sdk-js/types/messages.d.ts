// Messages, with the wire's own names (docs/protocol.md); what the contract grows is in them too.

export type Direction = "N" | "E" | "S" | "W";

/** A cell of a chunk: `x` grows to the east, `y` to the north, both 0..49. */
export interface Cell {
  x: number;
  y: number;
}

/** Somebody or something on a cell. */
export interface Blocker extends Partial<Cell> {
  id: string;
}

/** What every message carries. */
export interface Message {
  type: string;
  /** Where the stream can be resumed from, "" for messages that can't be replayed. */
  event_id: string;
  trace_id: string;
  /** The server's wall clock, milliseconds since 1970. */
  server_ts_ms: number;
}

export interface SessionReady extends Message {
  type: "session_ready";
  role: string;
  channel_id?: string | null;
  chunk_id?: string | null;
  agent_id?: string | null;
  resumed?: boolean;
  inventory?: { gold: number } | null;
}

export interface ChunkStatic extends Message {
  type: "chunk_static";
  chunk_id: string;
  size: { w: number; h: number };
  tiles: string[];
  grid: number[][];
  resource_nodes: (Cell & {
    node_id: string;
    type: string;
    max_remaining: number;
    harvest_ticks_per_unit: number;
    regen_ticks: number;
  })[];
  neighbors: Record<Direction, string | null>;
  tick_base: number;
}

/** Something that happened in a chunk: `chat`, `blocked`, `agent_joined`, `resource_harvest`, ... */
export interface Happening {
  type: string;
  [field: string]: unknown;
}

export interface Chat extends Happening {
  type: "chat";
  from: string;
  text: string;
}

export interface ChunkDelta extends Message {
  type: "chunk_delta";
  chunk_id: string;
  tick: number;
  agents: (Cell & { id: string; activity_state: string; name?: string })[];
  npcs: (Cell & { id: string; kind: string })[];
  resources: { node_id: string; remaining: number; state: string; version: number }[];
  events: Happening[];
}

export interface ChunkTransition extends Message {
  type: "chunk_transition";
  agent_id: string;
  from_chunk_id: string;
  to_chunk_id: string;
  from: Cell;
  to: Cell;
  tick: number;
}

export interface AgentPrivateDelta extends Message {
  type: "agent_private_delta";
  agent_id: string;
  tick: number;
  inventory: { gold: number };
  activity_state: string;
}

export interface CommandChallenge extends Message {
  type: "command_challenge";
  client_cmd_id: string;
  server_cmd_id: string;
  nonce: string;
  expires_at: number | string;
  difficulty: number;
  channel_id: string;
}

export interface CommandAck extends Message {
  type: "command_ack";
  accepted: boolean;
  client_cmd_id?: string | null;
  server_cmd_id?: string | null;
  echo?: unknown;
  started_tick?: number | null;
  reason?: string | null;
  code?: string | null;
  retry_after_ms?: number | null;
}

export interface CommandResult extends Message {
  type: "command_result";
  client_cmd_id: string;
  server_cmd_id: string;
  status: "completed" | "failed";
  reason?: string | null;
  ended_tick: number;
  node_id?: string;
  amount?: number;
  blocked_at?: Cell;
  blocker?: Blocker;
}

export interface Heartbeat extends Message {
  type: "heartbeat";
}

export interface ErrorMessage extends Message {
  type: "error";
  reason: string;
}

export interface ResyncRequired extends Message {
  type: "resync_required";
  chunk_id?: string | null;
}

export interface ChunkClosed extends Message {
  type: "chunk_closed";
  chunk_id?: string | null;
}

/** How the past is played (`fromTick`): `playing`, then `live`; `gap` or `away` for ticks that are left out. */
export interface Playback extends Message {
  type: "playback";
  state: string;
  chunk_id?: string | null;
  /** The tick that comes next. */
  tick: number;
  speed: number;
  from_tick?: number;
  to_tick?: number;
  /** Why they can't be shown. */
  reason?: string;
}

/** Every message that this version knows. A newer server may send others: look at `type` as a string for those. */
export type Event =
  | SessionReady
  | ChunkStatic
  | ChunkDelta
  | ChunkTransition
  | AgentPrivateDelta
  | CommandChallenge
  | CommandAck
  | CommandResult
  | Heartbeat
  | ErrorMessage
  | ResyncRequired
  | ChunkClosed
  | Playback;

/** What `Agent.on` may be given, and what its function gets then. */
export interface Told {
  "*": Event;
  session_ready: SessionReady;
  chunk_static: ChunkStatic;
  chunk_delta: ChunkDelta;
  chunk_transition: ChunkTransition;
  agent_private_delta: AgentPrivateDelta;
  command_challenge: CommandChallenge;
  command_ack: CommandAck;
  command_result: CommandResult;
  heartbeat: Heartbeat;
  resync_required: ResyncRequired;
  chat: Chat;
}
