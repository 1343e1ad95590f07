// Plays the list of scenarios by the JavaScript SDK; player.py does the same by the Python one. It is told what to do in
// the environment (SCENARIOS, a file; BASE; KEYS, JSON; PREFIX) and prints the results of each scenario, a JSON line.

import { readFileSync } from "node:fs";

import { Agent, ChunkcrawlError, Watcher } from "../../sdk-js/src/index.js";
import { isBoundary } from "../../sdk-js/src/view/paths.js";

/** Far more than anything here takes. */
const PATIENCE = { timeoutMs: 60_000 };
/** Steps of a walk that lasts longer than what is tried meanwhile. */
const STROLL = 6;
const COMMANDS = ["command_challenge", "command_ack", "command_result"];
const CELLS = { wall: { x: 0, y: 0 }, outside: { x: 50, y: 0 }, door: { x: 25, y: 49 } };

/** One scenario: its agents, and what they were told. */
class Player {
  #base;
  #keys;
  #prefix;
  #agents = new Map();
  #chats = new Map();
  #events = [];

  constructor(base, keys, prefix) {
    this.#base = base;
    this.#keys = keys;
    this.#prefix = prefix;
  }

  /** What a step gave; what it threw is a result too. */
  async play(step) {
    try {
      return await this[step.do](step);
    } catch (error) {
      if (!(error instanceof ChunkcrawlError)) throw error;
      return this.#error(error);
    }
  }

  async close() {
    await Promise.all([...this.#agents.values()].map((agent) => agent.close()));
  }

  // -- steps --

  async state(step) {
    const me = await this.#agent(step);
    return { chunk_id: me.chunkId, connected: me.connected, connections: me.connections };
  }

  async see(step) {
    const me = await this.#agent(step);
    const whom = this.#name(step.whom);
    return { seen: await me.waitUntil((view) => view.others.has(whom), PATIENCE) };
  }

  async move(step) {
    const me = await this.#agent(step);
    const { x, y } = await this.#cell(me, step.to);
    await me.moveTo(x, y);
    return { is: "Completed", reason: null, stands_there: me.position.x === x && me.position.y === y };
  }

  async say(step) {
    return done((await this.#agent(step)).say(step.text, limit(step)));
  }

  async command(step) {
    return done((await this.#agent(step)).command(step.cmd));
  }

  async harvest(step) {
    const me = await this.#agent(step);
    if (step.node !== "far") return done(me.harvest(step.node));
    const away = ({ x, y }) => Math.abs(x - me.position.x) + Math.abs(y - me.position.y);
    const [far] = [...me.view.nodes.values()].sort((one, other) => away(other) - away(one));
    return done(me.harvest(far));
  }

  async give(step) {
    return done((await this.#agent(step)).give(step.to, step.amount));
  }

  async listen(step) {
    const heard = [];
    this.#chats.set(step.who, heard);
    (await this.#agent(step)).on("chat", (said) => heard.push(said));
    return {};
  }

  async heard(step) {
    const me = await this.#agent(step);
    const own = () => this.#chats.get(step.who).filter(({ from }) => from === this.#name(step.from));
    await me.waitUntil(() => own().length > 0, PATIENCE);
    return { texts: own().map(({ text }) => text) };
  }

  async record(step) {
    const me = await this.#agent(step);
    for (const kind of COMMANDS) me.on(kind, ({ type }) => this.#events.push(type));
    return {};
  }

  async recorded() {
    return { types: this.#events };
  }

  async drop(step) {
    (await this.#agent(step)).dropConnection();
    return {};
  }

  /** Begin a walk of several steps, and see that it has begun. */
  async stroll(step) {
    const me = await this.#agent(step);
    const { x, y } = await this.#away(me, STROLL);
    me.moveTo(x, y).catch(() => {});
    await me.waitUntil((view) => view.me?.activity === "moving", PATIENCE);
    return {};
  }

  async end(step) {
    const me = await this.#agent(step);
    await me.waitUntil(() => false, PATIENCE).catch(() => {});
    return me.ended ? this.#error(me.ended) : {};
  }

  async go(step) {
    const me = await this.#agent(step);
    const { x, y } = await this.#cell(me, step.to);
    return outcome(await me.goTo(step.chunk, x, y, PATIENCE));
  }

  async harvest_nearest(step) {
    const me = await this.#agent(step);
    return outcome(await me.harvestNearest(step.amount, { explore: true, ...limit(step) }));
  }

  async follow(step) {
    const me = await this.#agent(step);
    return outcome(await me.follow(this.#name(step.whom), limit(step)));
  }

  /** What is kept of it, once anything is: that is a moment later. */
  async past(step) {
    const me = await this.#agent(step);
    for (;;) {
      const entries = [];
      for await (const entry of me.history({ kinds: step.kinds, limit: 5 })) entries.push(entry);
      if (entries.length > 0) return { kinds: entries.map(({ kind }) => kind), texts: entries.map(({ details }) => details.text) };
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  async watch(step) {
    return this.#watched(Watcher.chunk(this.#base, step.chunk, this.#watching(step)), step);
  }

  async own(step) {
    await this.#agent(step);
    return this.#watched(Watcher.owner(this.#base, this.#name("a"), this.#watching(step)), step);
  }

  // -- what they share --

  #watching({ from_tick: fromTick, speed }) {
    return { apiKey: this.#keys.own, fromTick, speed };
  }

  async #watched(watcher, { from_tick: fromTick }) {
    const types = [];
    for await (const { type } of watcher.events()) {
      types.push(type);
      if (types.length === (fromTick === undefined ? 3 : 5)) break;
    }
    const { view } = watcher;
    return { types, chunk_id: view.chunkId, ready: view.ready, sees_itself: view.me !== null };
  }

  async #agent({ who = "a", as = who }) {
    if (!this.#agents.has(who)) {
      const apiKey = this.#keys[who === "keyless" || who === "stranger" ? who : "own"];
      const retries = who === "hasty" ? 0 : 5;
      this.#agents.set(who, await Agent.connect(this.#base, { agentId: this.#name(as), apiKey, retries }));
    }
    return this.#agents.get(who);
  }

  #name(who) {
    return `${this.#prefix}-${who}`;
  }

  async #cell(me, where) {
    if (this.#agents.has(where)) return this.#agents.get(where).position;
    if (where !== "beside") return CELLS[where];
    return this.#away(me, 1);
  }

  /** A free inner cell so many steps away, once there is one: agents of earlier scenarios stay for a while. */
  async #away(me, far) {
    const free = (view) => view.reachable().cells.find(({ x, y, steps }) => steps === far && !isBoundary(view.grid, x, y));
    await me.waitUntil((view) => free(view) !== undefined, PATIENCE);
    return free(me.view);
  }

  #error(error) {
    const { name, reason, status, detail, blocker } = error;
    const said = { is: name, reason, says_when: (error.retryAfterMs ?? null) !== null };
    if (status !== undefined) said.status = status;
    if (detail !== undefined) said.detail = detail;
    if (blocker) said.blocker = blocker.id.replace(`${this.#prefix}-`, "");
    return said;
  }
}

const limit = ({ timeout_s: seconds }) => (seconds === undefined ? {} : { timeoutMs: seconds * 1000 });

async function done(command) {
  return { is: "Completed", reason: (await command).reason };
}

function outcome(end) {
  const { reason, ok, why } = end;
  return { is: end.constructor.name, reason, ok, ...(why === undefined ? {} : { why }) };
}

const { SCENARIOS, BASE, KEYS, PREFIX } = process.env;
const { scenarios } = JSON.parse(readFileSync(SCENARIOS, "utf8"));
for (const [number, { name, steps }] of scenarios.entries()) {
  const player = new Player(BASE, JSON.parse(KEYS), `${PREFIX}-${number}`);
  const results = [];
  try {
    for (const step of steps) results.push(await player.play(step));
  } finally {
    await player.close();
  }
  console.log(JSON.stringify({ name, results }));
}
