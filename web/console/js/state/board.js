// All that the one event stream has told, by topic; pages draw what they want of it. Pure.

import { Chunks } from "./chunks.js";

/** An hour of points, one every ten seconds. */
const POINTS_MAX = 360;

export class Board {
  overview = null;
  /** @type {object[]} Oldest first. */
  hour = [];
  nodes = [];
  actors = [];
  shards = [];
  chunks = new Chunks();
  marks = { frozen: new Set(), pinned: new Set(), moving: new Set(), worldFrozen: false };
  moves = { rows: [], underWay: [] };
  jobs = [];
  moderation = [];
  bans = { rows: [], total: 0 };
  audit = [];
  /** The server's time of what came last, in Unix milliseconds; 0: nothing yet. */
  atMs = 0;

  /** Take an event. @returns {string | null} The topic that has changed. */
  feed(type, data) {
    if (Number.isFinite(data.server_ts_ms)) this.atMs = data.server_ts_ms;
    switch (type) {
      case "overview":
        this.overview = data;
        return type;
      case "hour":
        this.hour = data.points.slice(-POINTS_MAX);
        return type;
      case "point":
        this.hour = [...this.hour, data].slice(-POINTS_MAX);
        return "hour";
      case "chunks":
        this.chunks.feed(data);
        return type;
      case "marks":
        this.marks = {
          frozen: new Set(data.frozen),
          pinned: new Set(data.pinned),
          moving: new Set(data.moving),
          worldFrozen: Boolean(data.world_frozen),
        };
        return type;
      case "moves":
        this.moves = { rows: data.rows, underWay: data.under_way ?? [] };
        return type;
      case "bans":
        this.bans = { rows: data.rows, total: data.total ?? data.rows.length };
        return type;
      case "nodes":
      case "actors":
      case "shards":
      case "jobs":
      case "moderation":
      case "audit":
        if (!Array.isArray(data.rows)) return null;
        this[type] = data.rows;
        return type;
      default:
        return null;
    }
  }

  /** What goes on with a shard that is slower than the others, or silent: those first that an operator has to see. */
  get troubledShards() {
    return [...this.shards].sort((a, b) => trouble(b) - trouble(a));
  }

  /** What is special about a chunk: "frozen", "pinned", "moving". @returns {string[]} */
  marksOf(chunkId) {
    const { frozen, pinned, moving, worldFrozen } = this.marks;
    const found = { frozen: worldFrozen || frozen.has(chunkId), pinned: pinned.has(chunkId), moving: moving.has(chunkId) };
    return Object.keys(found).filter((mark) => found[mark]);
  }

  /** A node's name for people. */
  nodeName(id) {
    return this.nodes.find((one) => one.node === id)?.name ?? (id ? String(id).slice(0, 12) : "–");
  }

  /** A ban that holds for an agent or an account, null for none; of the newest ones. */
  banOf(kind, subject) {
    return this.bans.rows.find((ban) => ban.kind === kind && ban.subject === subject) ?? null;
  }
}

function trouble(shard) {
  const away = shard.state === "ok" ? 0 : shard.state === "frozen" ? 1e5 : 1e6;
  return away + (shard.tick_ms?.p99 ?? 0);
}
