// `Agent`: play one agent of the world.
//
//   const me = await Agent.connect("http://127.0.0.1:8000", { agentId: "scout-1", apiKey });
//   await me.moveTo(25, 30);
//   await me.say("hello");
//   await me.close();
//
// A shell around `Conversation` (commands), `AgentConnection` (the socket) and `WorldView` (what is known).

import { AgentClosed, ChunkcrawlError, ProtocolViolation, ServerUnreachable } from "./errors.js";
import { Journey } from "./journeys/journey.js";
import { Api } from "./transport/api.js";
import { Callbacks } from "./transport/callbacks.js";
import { AgentConnection } from "./transport/connection.js";
import { COMMAND_TIMEOUT_MS, Conversation } from "./transport/conversation.js";
import { EventQueue } from "./transport/event_queue.js";
import { readHistory } from "./transport/history.js";
import { SessionKeeper } from "./transport/sessions.js";
import { Deferred, Limit, raced, within } from "./transport/waiting.js";
import { WorldMap } from "./view/world_map.js";
import { WorldView } from "./view/world_view.js";
import { AWAY_TIMEOUT_MS } from "./watcher.js";

const OPEN_TIMEOUT_MS = 15_000;
/** How long a result waits for the delta of its tick, which travels in another stream and may be a moment behind. */
const VIEW_WAIT_MS = 1_000;
const END_SESSION_TIMEOUT_MS = 700;
const CLOSE_TIMEOUT_MS = 2_000;
const EVENTS_LIMIT = 256;
/** How long a journey may take unless it is said. */
const JOURNEY_TIMEOUT_MS = 300_000;
const ID_PREFIX_BYTES = 4;

/**
 * @typedef {object} ConnectOptions
 * @property {string} agentId  1..128 of `A-Z a-z 0-9 _ . -`; it belongs to the account that first plays it.
 * @property {string} [apiKey]  Opens sessions, now and whenever one has died.
 * @property {Session} [session]  A session of role `agent` in place of `apiKey`; it can't be replaced when it ends.
 * @property {Api} [api]  An HTTP client of one's own.
 * @property {WorldMap} [map]  What is known already, of an earlier time.
 * @property {number} [retries]  Further tries of a command after `busy`, `rate_limited` or `expired_challenge`; 5.
 * @property {number} [openTimeoutMs]  How long connecting may take, tries included; 15 s.
 * @property {number | null} [commandTimeoutMs]  How long a command may take from call to end, unless it is given a
 *   `timeoutMs`; 10 min. null: as long as the agent lasts.
 * @property {number | null} [awayTimeoutMs]  How long a lost connection is tried again before the agent is over; 10 min.
 *   null: for ever.
 * @property {() => number} [random]  Where the jitter comes from.
 */

/** @typedef {{timeoutMs?: number | null, signal?: AbortSignal}} How  A time limit, and a signal that ends the wait. */

/**
 * One agent in the world. Make it with `Agent.connect`, and `close` it.
 *
 * One command is in flight at a time: calls take turns. A harvest alone can be interrupted, as in the world: it lets the
 * next command pass once it has been accepted, and then throws `Interrupted`.
 *
 * Aborting a call before its challenge was answered means that nothing happens; later, the command goes on in the world
 * without you, and the next one waits until it is over.
 *
 * No call waits for ever: a command has `commandTimeoutMs`, or its own `timeoutMs`; a connection that stays away for
 * `awayTimeoutMs` is the end of the agent, and whoever waits for it gets `ServerUnreachable`; while there is one, an
 * event comes within 30 s, if only a heartbeat.
 */
export class Agent {
  agentId;
  /** What is known of its chunk, kept up to date by every event. @type {WorldView} */
  view;
  /** What is known of every chunk it has been in. @type {WorldMap} */
  map;
  #api;
  #sessions;
  #conversation;
  #connection;
  #retries;
  #commandTimeoutMs;
  #random;
  #end = null;
  #queues = new Set();
  #callbacks = new Callbacks();
  #changed = new Deferred();
  #running = null;

  /** Use `Agent.connect` instead. */
  constructor(api, sessions, { agentId, map, retries, commandTimeoutMs, awayTimeoutMs, random }) {
    this.agentId = agentId;
    this.view = new WorldView(agentId);
    this.map = map;
    this.#api = api;
    this.#sessions = sessions;
    this.#retries = retries;
    this.#commandTimeoutMs = commandTimeoutMs;
    this.#random = random;
    this.#conversation = new Conversation({
      agentId,
      idPrefix: randomHex(ID_PREFIX_BYTES),
      send: (frame) => this.#connection.send(frame),
      onEvent: (event) => this.#happened(event),
      isActive: () => this.me !== null && this.me.activity !== "idle",
      random,
    });
    const hooks = {
      onOpen: (session) => this.#conversation.opened(session),
      onFrame: (frame) => this.#conversation.frame(frame),
      onLost: () => this.#conversation.lost(),
      lastEventId: () => this.#conversation.lastEventId,
    };
    this.#connection = new AgentConnection(api, agentId, sessions, hooks, { awayTimeoutMs, random });
  }

  /**
   * Bring an agent into the world; from then on it stays connected until `close`.
   *
   * @param {string | URL} base  The server, for instance `http://127.0.0.1:8000`.
   * @param {ConnectOptions} options
   * @returns {Promise<Agent>}
   * @throws {ServerUnreachable} Nobody answered in time.
   * @throws {ApiError} The server refuses the key, the session or the agent.
   */
  static async connect(base, options) {
    const { agentId, apiKey, session, api = new Api(base), map = new WorldMap(), retries = 5 } = options;
    const { openTimeoutMs = OPEN_TIMEOUT_MS, commandTimeoutMs = COMMAND_TIMEOUT_MS } = options;
    const { awayTimeoutMs = AWAY_TIMEOUT_MS, random = Math.random } = options;
    const sessions = SessionKeeper.ofRole(api, "agent", agentId, { apiKey, session, random });
    const agent = new Agent(api, sessions, { agentId, map, retries, commandTimeoutMs, awayTimeoutMs, random });
    await agent.#enter(openTimeoutMs);
    return agent;
  }

  // -- coming and going --

  async #enter(openTimeoutMs) {
    this.#running = this.#run();
    try {
      const known = (view) => view.ready && view.me !== null;
      if (await this.waitUntil(known, { timeoutMs: openTimeoutMs })) return;
      throw this.#connection.lastProblem ?? new ServerUnreachable(`not in the world after ${openTimeoutMs / 1000} s`);
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  /** Leave: the socket closes, the session ends. The agent stays in the world for the server's grace time. */
  async close() {
    this.#connection.close();
    this.#finish(new AgentClosed("this agent was closed"));
    await within(CLOSE_TIMEOUT_MS, this.#running);
    // A session that can't be ended now ends by itself.
    await within(END_SESSION_TIMEOUT_MS, this.#sessions.end().catch(() => {}));
  }

  async #run() {
    try {
      await this.#connection.run();
    } catch (error) {
      // A bug of ours must reach whoever waits for this agent, not vanish in the background.
      const known = error instanceof ChunkcrawlError;
      this.#finish(known ? error : new ProtocolViolation(String(error), { reason: "client_error", cause: error }));
    }
  }

  #finish(error) {
    if (this.#end !== null) return;
    this.#end = error;
    this.#connection.close();
    this.#conversation.finish(error);
    for (const queue of this.#queues) queue.end(error.constructor === AgentClosed ? null : error);
    this.#tell();
  }

  /** Cut the present connection as a network failure would, to try what happens then; it reconnects by itself. */
  dropConnection() {
    this.#connection.cut();
  }

  // -- acting --

  /**
   * Walk to a cell of the present chunk, one cell a tick (0.2 s); a boundary cell leads into the next chunk. It has
   * arrived when this returns, and the view shows it there, or in the next chunk.
   *
   * @param {number} x  0..49, west to east.  @param {number} y  0..49, south to north.  @param {How} [how]
   * @throws {OutOfBounds | Unreachable} Refused at once.
   * @throws {Blocked} Somebody stood in the way; the agent is where it was then.
   */
  async moveTo(x, y, how = {}) {
    const completed = await this.command({ type: "move_to", x, y }, how);
    const seen = (view) => view.ready && view.tick >= (completed.endedTick ?? -1);
    await this.waitUntil(seen, { timeoutMs: VIEW_WAIT_MS });
    return completed;
  }

  /**
   * Say something to the chunk: one line, 1..200 characters, one message per 2 s.
   * @throws {InvalidCommand | BannedWords | Muted | RateLimited}
   */
  say(text, how = {}) {
    return this.command({ type: "say", text }, how);
  }

  /**
   * Take gold from a node within one step until it is empty or another command is given. Returns when this agent took
   * the last unit (`reason` is `node_depleted`).
   *
   * @param {string | import("./view/world_view.js").GoldNode} node  @param {How} [how]
   * @throws {NodeNotFound | TooFar | Depleted} Refused at once.
   * @throws {RanDry} Somebody else took the last unit.
   * @throws {Interrupted} This agent's next command was accepted.
   */
  harvest(node, how = {}) {
    return this.command({ type: "harvest", node_id: typeof node === "string" ? node : node.id }, how);
  }

  /**
   * Give gold to an agent of the same chunk that stands beside this one; it has it at once.
   * @throws {AgentNotFound | TooFar | Insufficient} Refused at once, nothing was given.
   */
  give(agentId, amount, how = {}) {
    return this.command({ type: "give", agent_id: agentId, amount }, how);
  }

  /**
   * Carry out any command and wait for its end, over lost connections too.
   *
   * @param {object} cmd  For instance `{type: "say", text: "hello"}`.  @param {How} [how]
   * @returns {Promise<{clientCmdId: string, reason: string | null, endedTick: number | null, amount: number | null}>}
   * @throws {CommandRefused | CommandFailed} With the server's reason; `busy`, `rate_limited` and `expired_challenge`
   *   only after `retries` further tries.
   * @throws {OutcomeUnknown} The connection or the server's history was lost and nothing more was heard of the command.
   * @throws {StillRunning} Accepted, but not over in time; it goes on.
   * @throws {CommandDropped} Not decided in time; nothing has happened, and nothing will.
   * @throws {TakenOver} A newer connection plays this agent.
   * @throws {ServerUnreachable} No connection in time; the command was not sent, and will not be.
   * @throws {AgentClosed | ApiError} There is no connection, and there won't be.
   */
  command(cmd, { timeoutMs = this.#commandTimeoutMs, signal = null } = {}) {
    return this.#conversation.perform(cmd, { retries: this.#retries, hold: cmd.type !== "harvest", timeoutMs, signal });
  }

  // -- whole intentions --

  /**
   * Go to a cell of any chunk to which `map` knows a way, round whoever stands in it.
   * @returns {Promise<Arrived | NoWay | TimedOut>} `NoWay.why` says why.
   * @throws {AgentClosed | ApiError} There is no connection any more. So do all journeys.
   */
  goTo(chunkId, x, y, { timeoutMs = JOURNEY_TIMEOUT_MS, signal } = {}) {
    return new Journey(this, this.#random).goTo(chunkId, x, y, { timeoutMs, signal });
  }

  /**
   * Enter so many chunks for the first time, by the nearest doors that nobody was seen to pass.
   * @returns {Promise<Explored | NoWay | TimedOut>} `found` names them.
   */
  explore(chunks = 1, { timeoutMs = JOURNEY_TIMEOUT_MS, signal } = {}) {
    return new Journey(this, this.#random).explore(chunks, { timeoutMs, signal });
  }

  /**
   * Take gold from the nearest nodes, here and in chunks where the map knows some.
   *
   * @param {number | null} amount  At least so much, node after node; null: what the nearest node gives.
   * @param {How & {explore?: boolean}} [how]  `explore`: look for more in chunks that were never entered.
   * @returns {Promise<Harvested | NoGold | NoWay | TimedOut>} With what was taken up to then.
   */
  harvestNearest(amount = null, { explore = false, timeoutMs = JOURNEY_TIMEOUT_MS, signal } = {}) {
    return new Journey(this, this.#random).harvest(amount, { explore, timeoutMs, signal });
  }

  /**
   * Stay within `distance` steps of another agent, through doors too.
   * @param {string} agentId  @param {How & {distance?: number}} [how]
   * @returns {Promise<StillFollowing | LostSight>} `LostSight` when it is out of sight for good.
   */
  follow(agentId, { distance = 2, timeoutMs = JOURNEY_TIMEOUT_MS, signal } = {}) {
    return new Journey(this, this.#random).follow(agentId, distance, { timeoutMs, signal });
  }

  // -- looking --

  /**
   * Every event from now on, as an async iterator; see `EventQueue` for what happens at `limit`. It ends when the agent
   * is closed, and throws what ended it otherwise, for instance `TakenOver`.
   */
  events(limit = EVENTS_LIMIT) {
    const queue = new EventQueue(limit, () => this.#queues.delete(queue));
    this.#queues.add(queue);
    if (this.#end !== null) queue.end(this.#end.constructor === AgentClosed ? null : this.#end);
    return queue;
  }

  /**
   * Have a function called for every such event from now on; returns one that ends that.
   *
   * @param {string} what  An event's name (`chunk_transition`), that of something that happens in the chunk (`chat`,
   *   `agent_joined`, `agent_left`, `blocked`, ...), or `*` for every event.
   * @param {(told: any) => unknown} callback  Gets the event, or what happened; the view has taken it in by then. An
   *   async function runs beside the connection, so it may give commands; a plain one must be quick. What it throws is
   *   reported to the console.
   */
  on(what, callback) {
    return this.#callbacks.add(what, callback);
  }

  /**
   * Wait until `condition(view)` holds; it is asked after every event. false when the time was up.
   * @param {(view: WorldView) => boolean} condition  @param {How} [how]  `timeoutMs` null: as long as the agent lasts.
   * @throws {AgentClosed | ApiError} There is no connection any more.
   */
  async waitUntil(condition, { timeoutMs = COMMAND_TIMEOUT_MS, signal = null } = {}) {
    const limit = new Limit(timeoutMs, signal);
    try {
      while (!condition(this.view)) {
        this.#conversation.checkOpen();
        await raced(this.#changed.promise, limit.signal);
      }
      return true;
    } catch (error) {
      if (!limit.isEndOf(error)) throw error;
      return condition(this.view);
    } finally {
      limit.clear();
    }
  }

  /**
   * What this agent did and was given, newest first; a second or so behind the game, kept for days.
   *
   * @param {import("./transport/history.js").HistoryOptions} [options]
   * @throws {ApiError | ServerUnreachable} As every call of `Api`.
   */
  async *history(options) {
    const { token } = await this.#sessions.current();
    yield* readHistory(this.#api, this.agentId, token, options);
  }

  /** The agent as everybody sees it, null while it is not in the world. */
  get me() {
    return this.view.me;
  }

  /** The agent's cell `{x, y}`. */
  get position() {
    return this.view.position;
  }

  /** Everybody else in the chunk by id. */
  get others() {
    return this.view.others;
  }

  /** The present chunk. */
  get chunkId() {
    return this.view.chunkId;
  }

  /** Whether commands can be sent right now; while not, they wait. */
  get connected() {
    return this.#conversation.connected;
  }

  /** What ended the agent for good, for instance `TakenOver`; null while it plays. */
  get ended() {
    return this.#end;
  }

  /** Milliseconds since the connection was lost, null while there is one: so old is what the view shows. */
  get awayMs() {
    return this.#connection.awayMs;
  }

  /** Why the last try to connect failed, null while there is a connection. */
  get problem() {
    return this.#connection.lastProblem;
  }

  /** How many connections there have been; every one above the first is a reconnect. */
  get connections() {
    return this.#connection.connections;
  }

  /** Milliseconds from the last accepted command's request to its ack, proof of work included. */
  get ackMs() {
    return this.#conversation.ackMs;
  }

  // -- private --

  #happened(event) {
    this.view.feed(event);
    if (event.type === "chunk_static" || event.type === "chunk_delta") this.map.note(this.view, event.server_ts_ms);
    for (const queue of this.#queues) queue.put(event);
    this.#callbacks.call(event, this.view.happened);
    this.#tell();
  }

  /** Wake whoever waits for a change. */
  #tell() {
    const changed = this.#changed;
    this.#changed = new Deferred();
    changed.resolve();
  }
}

function randomHex(bytes) {
  return Array.from(crypto.getRandomValues(new Uint8Array(bytes)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
