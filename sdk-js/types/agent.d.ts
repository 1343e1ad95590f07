import type { ChunkcrawlError } from "./errors.js";
import type { Cell, Event, Happening, Told } from "./messages.js";
import type { Arrived, Explored, Harvested, LostSight, NoGold, NoWay, StillFollowing, TimedOut } from "./outcomes.js";
import type { Api, HistoryEntry, HistoryOptions, Session } from "./transport.js";
import type { AgentView, GoldNode, WorldMap, WorldView } from "./view.js";

/** A time limit, and a signal that ends the wait. */
export interface How {
  timeoutMs?: number | null;
  signal?: AbortSignal;
}

export interface Completed {
  clientCmdId: string;
  /** For instance `node_depleted`, mostly null. */
  reason: string | null;
  endedTick: number | null;
  /** What a harvest took, null for other commands. */
  amount: number | null;
}

interface Playing {
  /** 1..128 of `A-Z a-z 0-9 _ . -`; it belongs to the account that first plays it. */
  agentId: string;
  api?: Api;
  /** What is known already, of an earlier time. */
  map?: WorldMap;
  /** Further tries of a command after `busy`, `rate_limited` or `expired_challenge`; 5. */
  retries?: number;
  openTimeoutMs?: number;
  commandTimeoutMs?: number | null;
  awayTimeoutMs?: number | null;
  random?: () => number;
}

/** With a key, or a session of role `agent`. */
export type ConnectOptions = Playing & ({ apiKey: string; session?: undefined } | { session: Session; apiKey?: undefined });

/** Every event from now on; when it is full, the oldest delta or heartbeat gives way. */
export class EventQueue implements AsyncIterableIterator<Event> {
  constructor(limit: number, onEnd?: () => void);
  readonly dropped: number;
  put(event: Event): void;
  end(error?: Error | null): void;
  next(): Promise<IteratorResult<Event, undefined>>;
  return(): Promise<IteratorResult<Event, undefined>>;
  [Symbol.asyncIterator](): this;
}

export class Agent {
  private constructor(...parts: never[]);
  static connect(base: string | URL, options: ConnectOptions): Promise<Agent>;
  readonly agentId: string;
  readonly view: WorldView;
  readonly map: WorldMap;
  close(): Promise<void>;
  dropConnection(): void;
  moveTo(x: number, y: number, how?: How): Promise<Completed>;
  say(text: string, how?: How): Promise<Completed>;
  harvest(node: string | GoldNode, how?: How): Promise<Completed>;
  give(agentId: string, amount: number, how?: How): Promise<Completed>;
  command(cmd: { type: string; [field: string]: unknown }, how?: How): Promise<Completed>;
  goTo(chunkId: string, x: number, y: number, how?: How): Promise<Arrived | NoWay | TimedOut>;
  explore(chunks?: number, how?: How): Promise<Explored | NoWay | TimedOut>;
  harvestNearest(
    amount?: number | null,
    how?: How & { explore?: boolean },
  ): Promise<Harvested | NoGold | NoWay | TimedOut>;
  follow(agentId: string, how?: How & { distance?: number }): Promise<StillFollowing | LostSight>;
  events(limit?: number): EventQueue;
  on<Name extends keyof Told>(what: Name, callback: (told: Told[Name]) => unknown): () => void;
  on(what: string, callback: (told: Happening) => unknown): () => void;
  waitUntil(condition: (view: WorldView) => boolean, how?: How): Promise<boolean>;
  history(options?: HistoryOptions): AsyncGenerator<HistoryEntry, void>;
  get me(): AgentView | null;
  get position(): Cell | null;
  get others(): Map<string, AgentView>;
  get chunkId(): string | null;
  get connected(): boolean;
  get ended(): ChunkcrawlError | null;
  get awayMs(): number | null;
  get problem(): ChunkcrawlError | null;
  get connections(): number;
  get ackMs(): number | null;
}
