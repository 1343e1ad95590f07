// `Journey`: one whole intention of an agent, command after command, planned anew whenever something is in the way.
//
// Each of its calls may be aborted, has a time limit, and returns an `Outcome`; what it throws is what ends an agent. A
// walk that is under way when a call is aborted goes on to its end, since the world knows no stopping.

import {
  Busy,
  CommandDropped,
  CommandFailed,
  Depleted,
  ExpiredChallenge,
  NodeNotFound,
  OutcomeUnknown,
  RateLimited,
  TooFar,
  Unreachable,
} from "../errors.js";
import { Limit, paused } from "../transport/waiting.js";
import { isBoundary, isFloor, manhattan } from "../view/paths.js";
import { Arrived, Explored, Harvested, LostSight, NoGold, NoWay, StillFollowing, TimedOut } from "./outcomes.js";

/** How often in a row something may stand in the way of one step of a journey before it counts as no way. */
const HINDRANCES_MAX = 20;
const PAUSE_MS = { least: 200, most: 1000 };
const VIEW_TIMEOUT_MS = 60_000;
/** What a result says is seen in another message, a moment later; out of sight for so long, somebody is lost. */
const SIGHT_MS = 1_000;
/** Somebody who is followed walks on: walks towards where it stood are no longer than this. */
const FOLLOW_STRIDE = 4;
/** Whoever was seen last within so many cells of a door went through it. */
const DOOR_REACH = 2;

/** What goes better when it is planned anew; everything else is a mistake of ours or the end of the agent. */
const WORTH_ANOTHER_TRY = [
  ...[CommandFailed, CommandDropped, OutcomeUnknown],
  ...[Unreachable, Depleted, TooFar, NodeNotFound, Busy, RateLimited, ExpiredChallenge],
];

/** Something stood in the way; it may be tried again. */
class Hindered extends Error {
  name = "Hindered";
}

/** The journey can't go on; `outcome` says why. */
class Ended extends Error {
  name = "Ended";

  constructor(outcome) {
    super(String(outcome));
    this.outcome = outcome;
  }
}

export class Journey {
  #agent;
  #random;
  #signal = null;
  #found = [];
  #startGold = null;

  /**
   * What an agent is about to do; make one for each.
   * @param {import("../agent.js").Agent} agent  @param {() => number} [random]  Where pauses come from.
   */
  constructor(agent, random = Math.random) {
    this.#agent = agent;
    this.#random = random;
  }

  // -- whole intentions --

  /** Go to a cell of any chunk that the map knows a way to; see `Agent.goTo`. */
  goTo(chunkId, x, y, how) {
    return this.#within(how, async () => {
      for (;;) {
        const view = await this.#ready();
        if (view.chunkId !== chunkId) await this.#tried(() => this.#towards(chunkId));
        else if (view.position.x === x && view.position.y === y) return new Arrived(this.#place);
        else await this.#tried(() => this.#toCell(x, y));
      }
    });
  }

  /** Enter chunks for the first time; see `Agent.explore`. */
  explore(chunks, how) {
    return this.#within(how, async () => {
      await this.#ready();
      while (this.#found.length < chunks) await this.#tried(() => this.#throughUnknownDoor());
      return new Explored(this.#place, this.#found);
    });
  }

  /** Take gold, node after node; see `Agent.harvestNearest`. */
  harvest(amount, { explore = false, ...how }) {
    return this.#within(how, async () => {
      const view = await this.#ready();
      this.#startGold = view.inventoryGold ?? 0;
      while (amount === null ? this.#taken === 0 : this.#taken < amount) {
        if (this.#agent.view.nearestGold() !== null) await this.#tried(() => this.#dig(amount));
        else if (!(await this.#towardsGold(explore))) return new NoGold(this.#place, this.#taken);
      }
      return new Harvested(this.#place, this.#taken);
    });
  }

  /** Stay beside another agent, through doors too; see `Agent.follow`. */
  follow(agentId, distance, how) {
    const inSight = () => this.#agent.view.others.get(agentId);
    const timeUp = () => new (inSight() ? StillFollowing : LostSight)(this.#place, agentId);
    const work = async () => {
      let seen = null;
      for (;;) {
        await this.#ready();
        if (!inSight() && seen !== null) await this.#after(agentId, seen);
        const there = inSight();
        if (!there) return new LostSight(this.#place, agentId);
        seen = { x: there.x, y: there.y };
        await this.#closer(seen, distance);
      }
    };
    return this.#within(how, work, timeUp);
  }

  // -- one step of them --

  /** Pass the next door on the way to a chunk. */
  async #towards(goal) {
    const { map, view } = this.#agent;
    if (map.chunks.get(goal)?.gone) {
      const text = `${goal} was collected, as empty chunks are, and nobody gets there any more`;
      throw new Ended(new NoWay(this.#place, "chunk_gone", text));
    }
    const way = map.route(view.chunkId, goal);
    if (way === null) {
      const text = `the map knows no way from ${view.chunkId} to ${goal}`;
      throw new Ended(new NoWay(this.#place, "unknown_chunk", text));
    }
    // There already: somebody walked, or was led, since it was looked.
    if (way.length > 0) await this.#through(way[0]);
  }

  /** Leave the chunk on a side, by the nearest free cell of its door. */
  async #through(side) {
    const { view } = this.#agent;
    const cells = view.exits()[side];
    if (cells.length === 0) {
      throw new Ended(new NoWay(this.#place, "closed", `${view.chunkId} has no door on its side ${side}`));
    }
    const here = view.position;
    const reach = view.reachable();
    const isHere = ({ x, y }) => here?.x === x && here.y === y;
    const free = cells.filter((cell) => reach.has(cell.x, cell.y) && !isHere(cell));
    free.sort((one, other) => reach.steps(one.x, one.y) - reach.steps(other.x, other.y));
    // Whoever has just come in by this very door stands on it, and must step inside before it can be left by it.
    const cell = free[0] ?? (cells.some(isHere) ? view.nextFree(here.x, here.y) : null);
    if (cell === null) throw new Hindered("nobody gets to the door");
    await this.#walk(cell);
  }

  /** Walk to a cell of this chunk. */
  async #toCell(x, y) {
    const { view } = this.#agent;
    if (!isFloor(view.grid, x, y)) {
      throw new Ended(new NoWay(this.#place, "wall", `${x},${y} of ${view.chunkId} is no floor`));
    }
    if (isBoundary(view.grid, x, y)) {
      const text = `${x},${y} is on the boundary: whoever steps on it leaves ${view.chunkId}`;
      throw new Ended(new NoWay(this.#place, "boundary", text));
    }
    if (!view.reachable().has(x, y)) throw new Hindered("no free way");
    await this.#walk({ x, y });
  }

  /** Get one door nearer to a chunk that was never entered, or into it. */
  async #throughUnknownDoor() {
    const { map, view } = this.#agent;
    const entered = new Set([...map.chunks.values()].filter((chunk) => chunk.entered).map((chunk) => chunk.chunkId));
    const { value: door } = map.unknownDoors(view.chunkId).next();
    if (!door) {
      throw new Ended(new NoWay(this.#place, "closed", "every door that the map knows of leads to a chunk it knows"));
    }
    await this.#through(door.way[0] ?? door.side);
    const now = (await this.#ready()).chunkId;
    if (!entered.has(now) && !this.#found.includes(now)) this.#found.push(now);
  }

  /** Walk to the nearest gold of this chunk and take what is wanted of it. */
  async #dig(amount) {
    const { view } = this.#agent;
    const found = view.nearestGold();
    // Somebody took what there was: whoever asked looks elsewhere.
    if (found === null) return;
    const { node, cell } = found;
    if (cell.x !== view.position.x || cell.y !== view.position.y) {
      await this.#walk(cell);
      return;
    }
    const limit = new Limit(null, this.#signal);
    const digging = this.#harvested(node, limit.signal);
    const enough = amount === null ? digging : this.#enough(amount, limit.signal);
    try {
      await Promise.race([digging, enough]);
    } finally {
      limit.clear();
      limit.stop(new Hindered("the digging is over"));
      await Promise.allSettled([digging, enough]);
    }
  }

  async #harvested(node, signal) {
    const before = this.#taken;
    await this.#command(this.#agent.harvest(node, { signal }));
    // The inventory is told of beside the result.
    await this.#agent.waitUntil(() => this.#taken > before, { timeoutMs: SIGHT_MS, signal });
  }

  async #enough(amount, signal) {
    await this.#agent.waitUntil(() => this.#taken >= amount, { timeoutMs: null, signal });
  }

  /** Get one door nearer to a chunk in which gold was left, else into a new one; false: there is neither. */
  async #towardsGold(explore) {
    const { map, view } = this.#agent;
    let way = null;
    for (const found of map.goldChunks(view.chunkId)) {
      if (found.way.length === 0) continue;
      way = found.way;
      break;
    }
    if (way !== null) await this.#tried(() => this.#through(way[0]));
    else if (explore) await this.#tried(() => this.#throughUnknownDoor());
    else return false;
    await this.#ready();
    return true;
  }

  /** Walk some cells towards one, or wait for what happens next where it is near. */
  async #closer(to, distance) {
    const { view } = this.#agent;
    const { position, tick } = view;
    if (position === null || manhattan(position, to) <= distance) {
      await this.#agent.waitUntil((now) => now.tick > tick, { timeoutMs: SIGHT_MS, signal: this.#signal });
      return;
    }
    const cell = view.nextFree(to.x, to.y);
    if (cell === null || (cell.x === position.x && cell.y === position.y)) {
      await this.#pause();
      return;
    }
    const way = view.pathTo(cell.x, cell.y) ?? [];
    const step = way[Math.min(way.length, FOLLOW_STRIDE) - 1] ?? cell;
    try {
      await this.#walk(isBoundary(view.grid, step.x, step.y) ? cell : step);
    } catch (error) {
      if (!(error instanceof Hindered)) throw error;
      await this.#pause();
    }
  }

  /** Go through the door beside which somebody was seen last; nothing is done when there was none. */
  async #after(agentId, last) {
    const { view } = this.#agent;
    const doors = Object.entries(view.exits()).flatMap(([side, cells]) =>
      cells.map((cell) => ({ side, far: manhattan(cell, last) })),
    );
    const [door] = doors.sort((one, other) => one.far - other.far);
    if (door === undefined || door.far > DOOR_REACH) return;
    const before = view.chunkId;
    for (let tries = 0; tries < HINDRANCES_MAX; tries += 1) {
      try {
        await this.#through(door.side);
      } catch (error) {
        if (!(error instanceof Hindered)) throw error;
        await this.#pause();
      }
      if ((await this.#ready()).chunkId === before) continue;
      await this.#agent.waitUntil((now) => now.others.has(agentId), { timeoutMs: SIGHT_MS, signal: this.#signal });
      return;
    }
  }

  // -- what all share --

  async #walk({ x, y }) {
    await this.#command(this.#agent.moveTo(x, y, { signal: this.#signal }));
  }

  /** Carry a command out; what may go better at another try is `Hindered`. */
  async #command(command) {
    try {
      await command;
    } catch (error) {
      if (!WORTH_ANOTHER_TRY.some((kind) => error instanceof kind)) throw error;
      throw new Hindered(error.message, { cause: error });
    }
  }

  /** Take one step of the journey, again and again while something is in the way. */
  async #tried(step) {
    for (let tries = 0; tries < HINDRANCES_MAX; tries += 1) {
      try {
        await step();
        return;
      } catch (error) {
        if (!(error instanceof Hindered)) throw error;
      }
      await this.#pause();
      await this.#ready();
    }
    throw new Ended(new NoWay(this.#place, "crowded", `others stood in the way ${HINDRANCES_MAX} times in a row`));
  }

  /** Wait until the present chunk is known. */
  async #ready() {
    const known = (view) => view.ready && view.me !== null;
    while (!(await this.#agent.waitUntil(known, { timeoutMs: VIEW_TIMEOUT_MS, signal: this.#signal })));
    return this.#agent.view;
  }

  #pause() {
    return paused(PAUSE_MS.least + this.#random() * (PAUSE_MS.most - PAUSE_MS.least), this.#signal);
  }

  /** What the work came to; `timeUp` says what it is when the time was up before. */
  async #within({ timeoutMs, signal = null }, work, timeUp = () => this.#timedOut()) {
    const limit = new Limit(timeoutMs, signal);
    this.#signal = limit.signal;
    try {
      return await work();
    } catch (error) {
      if (error instanceof Ended) return error.outcome;
      if (limit.isEndOf(error)) return timeUp();
      throw error;
    } finally {
      limit.clear();
    }
  }

  #timedOut() {
    return new TimedOut(this.#place, this.#found, this.#taken);
  }

  get #taken() {
    return this.#startGold === null ? 0 : Math.max(0, (this.#agent.view.inventoryGold ?? 0) - this.#startGold);
  }

  get #place() {
    const { chunkId, position } = this.#agent.view;
    return { chunkId, x: position?.x ?? -1, y: position?.y ?? -1 };
  }
}
