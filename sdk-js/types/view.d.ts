// What is known of the present chunk, and of all that were entered.

import type { Cell, Direction, Event, Happening } from "./messages.js";

export interface AgentView extends Cell {
  id: string;
  /** `idle`, `moving`, `harvesting`, or what a newer server adds. */
  activity: string;
  name: string;
}

export interface NpcView extends Cell {
  id: string;
  kind: string;
}

export interface GoldNode extends Cell {
  id: string;
  remaining: number;
  max: number;
  /** `available`, `depleted` or `regenerating`. */
  state: string;
}

/** Cells and how many steps away each is. */
export class Reach {
  /** Nearest first. */
  readonly cells: (Cell & { steps: number })[];
  /** Steps to a cell, null when there is no way. */
  steps(x: number, y: number): number | null;
  has(x: number, y: number): boolean;
}

export class WorldView {
  constructor(agentId?: string | null);
  readonly agentId: string | null;
  readonly chunkId: string | null;
  /** Of the newest delta, -1 before the first. */
  readonly tick: number;
  readonly size: { w: number; h: number };
  /** `grid[y][x]`, 0 floor and 1 wall; empty until known. */
  readonly grid: number[][];
  readonly neighbors: Partial<Record<Direction, string | null>>;
  readonly lostNeighbors: Partial<Record<Direction, string>>;
  readonly agents: ReadonlyMap<string, AgentView>;
  readonly npcs: ReadonlyMap<string, NpcView>;
  readonly nodes: ReadonlyMap<string, GoldNode>;
  readonly inventoryGold: number | null;
  readonly gone: boolean;
  /** What happened by the event that was fed last and was not told before. */
  readonly happened: Happening[];
  /** How often the world has been put back to an earlier tick. */
  readonly setBacks: number;
  feed(event: Event): void;
  clear(): void;
  /** Terrain and one delta are known. */
  get ready(): boolean;
  get me(): AgentView | null;
  get position(): Cell | null;
  get others(): Map<string, AgentView>;
  /** What is left of all the gold here. */
  get gold(): number;
  /** The cells that somebody or something else stands on, each as one number. */
  get taken(): Set<number>;
  isFree(x: number, y: number): boolean;
  reachable(): Reach;
  distance(x: number, y: number): number | null;
  pathTo(x: number, y: number): Cell[] | null;
  nextFree(x: number, y: number): Cell | null;
  exits(): Record<Direction, Cell[]>;
  beside(node: GoldNode): Cell | null;
  nearestGold(): { node: GoldNode; cell: Cell } | null;
}

/** A chunk as it was last seen. */
export class KnownChunk {
  constructor(chunkId: string);
  static from(read: object): KnownChunk;
  readonly chunkId: string;
  readonly tiles: string[];
  readonly neighbors: Partial<Record<Direction, string | null>>;
  readonly nodes: Record<string, Cell & { node_id: string; max_remaining: number; remaining: number }>;
  readonly seenMs: number;
  readonly tick: number;
  readonly gone: boolean;
  get entered(): boolean;
  get exits(): Direction[];
  get gold(): number;
  toJSON(): object;
}

/** Every chunk an agent has been in. `JSON.stringify` writes it, `WorldMap.from(JSON.parse(...))` has it again. */
export class WorldMap {
  constructor(options?: { chunksMax?: number });
  static from(read: object, options?: { chunksMax?: number }): WorldMap;
  readonly chunks: Map<string, KnownChunk>;
  note(view: WorldView, nowMs: number): void;
  markGone(chunkId: string): void;
  route(start: string, goal: string): Direction[] | null;
  unknownDoors(start: string): Generator<{ way: Direction[]; side: Direction }>;
  goldChunks(start: string): Generator<{ chunk: KnownChunk; way: Direction[] }>;
  toJSON(): object;
}
