// HTTP, sessions, waiting.

export type Role = "agent" | "owner_spectator" | "spectator";
/** A token or key, or e-mail and password. */
export type Auth = string | readonly [string, string];

export class Session {
  constructor(fields: { token: string; jti?: string; role?: string; cmdSecret?: string; lifetimeMs?: number });
  static of(answer: object, nowMs: number): Session;
  readonly jti: string;
  readonly role: string;
  /** Milliseconds from the server's answer to the session's end. */
  readonly lifetimeMs: number;
  get token(): string;
  get cmdSecret(): string;
  until(answer: object, nowMs: number): Session;
}

export interface KeyInfo {
  key_id: string;
  key_prefix: string;
  label: string | null;
  created_at: string;
  expires_at: string | null;
}

export class Api {
  constructor(base: string | URL, options?: { timeoutMs?: number; fetch?: typeof fetch });
  /** Where the server is, with a slash at its end. */
  readonly base: string;
  url(path: string): URL;
  signup(email: string, password: string): Promise<{ account_id: string; email: string; account_token: string }>;
  createKey(how: {
    auth: Auth;
    label?: string;
    accountId?: string;
  }): Promise<{ key_id: string; key_prefix: string; api_key: string }>;
  listKeys(how: { auth: Auth }): Promise<KeyInfo[]>;
  revokeKey(keyId: string, how: { auth: Auth }): Promise<void>;
  agents(how: { auth: Auth }): Promise<{ agent_id: string }[]>;
  openSession(apiKey: string, role: Role, agentId?: string | null): Promise<Session>;
  refreshSession(session: Session): Promise<Session>;
  endSession(session: Session): Promise<void>;
  devSpectatorSession(): Promise<Session>;
  devOwnerSession(agentId: string): Promise<Session>;
  snapshot(chunkId: string, token: string): Promise<{ chunk_static: object; latest_delta: object | null }>;
  request(path: string, options?: { method?: string; auth?: Auth | null; body?: object }): Promise<any>;
}

/** How long to wait before the next try: full jitter, growing, capped. */
export class Backoff {
  constructor(random?: () => number, options?: { baseMs?: number; capMs?: number });
  tries: number;
  next(atLeastMs?: number, spreadMs?: number): number;
  reset(): void;
}

/** Where the server is, when nobody says. */
export function defaultBase(environment?: Record<string, string | undefined>): string;

/** Sessions of one's own keeping. */
export interface SessionSource {
  current(): Promise<{ token: string }>;
  dead(session: { token: string }): void;
  keep?(session: { token: string }, signal: AbortSignal): Promise<void>;
}

/** One thing that an agent did, or that it was given. */
export interface HistoryEntry {
  /** Unique, and higher the later it happened. */
  entry_id: string;
  /** When, an ISO time in UTC. */
  at: string;
  tick: number;
  /** Where; for a crossing the chunk that was left. */
  chunk_id: string | null;
  /** Who did it: the giver, where this agent was given something. */
  agent_id: string | null;
  /** `join`, `leave`, `result`, `crossing`, `harvest`, `give`, `chat`, `thought`; more in newer servers. */
  kind: string;
  /** By kind (docs/protocol.md). */
  details: Record<string, unknown>;
}

export interface HistoryOptions {
  /** From then on; a text is an ISO time, UTC without a zone. */
  since?: Date | string;
  /** Only before then. */
  until?: Date | string;
  /** Only these; empty: all. */
  kinds?: string[];
  /** At most so many; null: all that is kept. */
  limit?: number | null;
}

/** What an agent did and was given, newest first, page after page; `Agent.history` is the same for one's own. */
export function readHistory(
  api: Api,
  agentId: string,
  auth: Auth,
  options?: HistoryOptions,
): AsyncGenerator<HistoryEntry, void>;
