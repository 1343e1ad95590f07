import type { Event } from "./messages.js";
import type { Api, Session, SessionSource } from "./transport.js";
import type { WorldView } from "./view.js";

export type Phase = "connecting" | "live" | "waiting";

/** Without `apiKey`, `session` and `sessions` a development session is asked for, which servers in production refuse. */
export interface WatcherOptions {
  apiKey?: string;
  session?: Session;
  sessions?: SessionSource;
  api?: Api;
  /** How long the first connection is tried, 15 s; null: for ever. */
  openTimeoutMs?: number | null;
  /** How long a lost one is tried again, 10 min; null: for ever. */
  awayTimeoutMs?: number | null;
  onPhase?: (phase: Phase, waitMs: number) => void;
  /** Play the past from here: a tick, a Unix time in milliseconds, or a time. */
  fromTick?: number | Date;
  /** How many times faster the past is played, 0.5 to 32. */
  speed?: number;
  random?: () => number;
}

export class Watcher {
  private constructor(...parts: never[]);
  static chunk(base: string | URL, chunkId?: string, options?: WatcherOptions): Watcher;
  static owner(base: string | URL, agentId: string, options?: WatcherOptions): Watcher;
  readonly view: WorldView;
  readonly connected: boolean;
  readonly unusableEvents: number;
  get connections(): number;
  get lastEventId(): string;
  events(): AsyncGenerator<Event, void>;
  close(): void;
  retryNow(): void;
}
