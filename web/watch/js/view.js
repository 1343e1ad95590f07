// One look at the world: a chunk as a spectator sees it, or an agent as its owner does. It ends when another begins.

import { byId, setText } from "./dom.js";
import { ChunkGone, Watcher } from "../../sdk/index.js";
import { BASE } from "./net/api.js";
import { AccessNeeded } from "./net/sessions.js";
import { toAgent, toChunk } from "./route.js";
import { CommandLog } from "./state/commands.js";
import { summaryOf } from "./ui/agent_list.js";
import { drawCurtain, openCurtain } from "./ui/curtain.js";
import { counted, reasonText } from "./ui/words.js";

/** What is older than this is news, but nothing that happens now. */
const FRESH_MS = 5_000;
const SAID_MAX_CHARS = 400;

export class View {
  worldView;
  agentId;
  #chunkId;
  #parts;
  #watcher;
  #over = false;
  #commands = new CommandLog();
  #online = true;
  #jump = true;
  #terrain = "";
  #arrived = false;
  /** The chunks whose news are shown. */
  #visited = new Set();
  #setBacks = 0;
  /** The chunk of which it was asked what happened before. */
  #remembered = null;
  /** The server's clock minus this page's, in milliseconds. */
  #clockAhead = 0;

  /** @param {{chunkId: string | null, agentId: string | null}} route  @param {object} parts  See main.js. */
  constructor({ chunkId, agentId }, parts) {
    this.agentId = agentId;
    this.#chunkId = chunkId;
    this.#parts = parts;
    const options = {
      sessions: parts.sessions.of(agentId),
      onPhase: (phase, waitMs) => this.#over || this.#phase(phase, waitMs),
      // Somebody looks on; they are told how it stands, and the page goes on by itself.
      openTimeoutMs: null,
      awayTimeoutMs: null,
    };
    this.#watcher = agentId === null ? Watcher.chunk(BASE, chunkId, options) : Watcher.owner(BASE, agentId, options);
    this.worldView = this.#watcher.view;
  }

  open() {
    const { followPanel, chosenCard, stage } = this.#parts;
    followPanel.begin(this.agentId);
    stage.chosen = this.agentId;
    stage.setTarget(null);
    chosenCard.show(null, this.worldView);
    this.#watch();
  }

  close() {
    this.#over = true;
    this.#watcher.close();
  }

  /** Whether it is the look at this chunk, or at this agent, and goes on. */
  shows(chunkId, agentId) {
    return !this.#over && this.#chunkId === chunkId && this.agentId === agentId;
  }

  retryNow() {
    this.#watcher.retryNow();
  }

  async #watch() {
    let was = this.worldView.chunkId;
    try {
      for await (const event of this.#watcher.events()) {
        if (this.#over) return;
        if (this.worldView.chunkId !== was) this.#jump = true;
        was = this.worldView.chunkId;
        this.#take(event);
      }
    } catch (error) {
      if (this.#over) return;
      this.#over = true;
      if (error instanceof ChunkGone) this.#gone(error.chunkId);
      else this.#refused(error);
    }
  }

  /** One event of a shape nobody thought of must not end the stream. */
  #take(event) {
    try {
      this.#event(event.type, event);
    } catch (error) {
      console.error("event not understood", event.type, error);
    }
  }

  /** @param {string | null} agentId */
  choose(agentId) {
    const { stage, chosenCard, agentList } = this.#parts;
    stage.chosen = agentId ?? this.agentId;
    stage.tracking = true;
    chosenCard.show(agentId === this.agentId ? null : agentId, this.worldView);
    agentList.update(this.worldView, stage.chosen);
    this.#showTarget();
    stage.invalidate();
  }

  #phase(phase, waitMs) {
    const { connection, announcer } = this.#parts;
    // The short while of another try would only flicker.
    if (phase === "connecting" && connection.phase === "waiting") return;
    if (phase === "waiting" && connection.phase === "live") announcer.say("Connection lost. Trying again.");
    if (phase === "live" && this.#watcher.connections > 1) announcer.say("Connected again.");
    connection.show(phase, waitMs);
    if (phase === "waiting" && this.worldView.chunkId === null) {
      this.#blank(this.#wanted, "waiting for the server");
      const title = navigator.onLine ? "The server does not answer" : "This device is offline";
      drawCurtain(title, "It is tried again by itself; this page goes on as soon as it is back.", [
        ["Try now", () => this.retryNow()],
      ]);
    }
  }

  /** What the address asks for. */
  get #wanted() {
    return this.agentId ?? (this.#chunkId === "demo" ? "chunk-0" : this.#chunkId);
  }

  /** Nothing is shown: no map, nobody, no gold, no news; and why. */
  #blank(title, facts) {
    const { worldView } = this;
    const { stage, agentList, newsList, chosenCard, doors, world, agentsIn } = this.#parts;
    worldView.clear();
    stage.chosen = this.agentId;
    this.#terrain = "";
    this.#visited.clear();
    this.#remembered = null;
    this.#parts.trails.enter(null);
    this.#parts.neighbours.show({});
    this.#jump = true;
    stage.setTerrain([]);
    stage.setTarget(null);
    stage.update(worldView, true);
    agentList.update(worldView, stage.chosen);
    newsList.of(this.#visited, null);
    chosenCard.show(null, worldView);
    doors.update(worldView, agentsIn);
    world.current = null;
    setText(byId("chunk-name"), title);
    setText(byId("chunk-facts"), facts);
    setText(byId("summary"), `${title}: ${facts}.`);
    document.title = `${title} · Chunkcrawl`;
  }

  #event(type, data) {
    switch (type) {
      case "session_ready":
        return this.#ready(data);
      case "chunk_static":
        return this.#static();
      case "chunk_delta":
        return this.#delta(data, this.worldView.happened);
      case "resync_required":
        return this.#resync(data);
      case "chunk_transition":
        return this.#transition(data);
      case "agent_private_delta":
        return this.#private(data);
      case "heartbeat":
        return this.#heartbeat(data);
      default:
        return this.#command(type, data);
    }
  }

  #ready(data) {
    this.#clockAhead = data.server_ts_ms - Date.now();
    if (this.agentId === null) return;
    this.#presence(data.agent_online !== false);
    this.#private(data);
  }

  /** Whether the followed agent is in the world. */
  #presence(online) {
    this.#online = online;
    if (!online) this.#blank(this.agentId, "not in the world");
    this.#parts.followPanel.place(this.agentId, this.worldView, online);
    if (online) {
      openCurtain();
      return;
    }
    drawCurtain(`${this.agentId} is not in the world`, "It will be shown here as soon as it plays.", [
      ["Watch chunk-0", () => toChunk("chunk-0")],
    ]);
  }

  #static() {
    const { worldView } = this;
    const { stage, world, doors, newsList } = this.#parts;
    openCurtain();
    this.#online = true;
    this.#visited.add(worldView.chunkId);
    this.#remember();
    newsList.of(this.#visited, worldView.chunkId);
    const terrain = `${worldView.chunkId} ${worldView.grid.map((row) => row.join("")).join()}`;
    if (terrain !== this.#terrain) {
      this.#terrain = terrain;
      this.#arrived = false;
      stage.setTerrain(worldView.grid);
    }
    world.current = worldView.chunkId;
    setText(byId("chunk-name"), worldView.chunkId);
    document.title = `${this.agentId ?? worldView.chunkId} · Chunkcrawl`;
    doors.update(worldView, this.#parts.agentsIn);
    doors.place(stage.camera);
  }

  /** What happened here before, once for each coming. */
  #remember() {
    const { chunkId } = this.worldView;
    const { trails, past, neighbours, news, newsList, looks, stage } = this.#parts;
    neighbours.show(this.worldView.neighbors);
    trails.enter(chunkId);
    if (this.#remembered === chunkId) return;
    this.#remembered = chunkId;
    past.of(chunkId, ({ events, trails: earlier }) => {
      if (this.#over || this.worldView.chunkId !== chunkId) return;
      for (const { event, tick, index, at } of events) news.tell(event, { chunkId, tick, at, index }, (id) => looks.of(id).full);
      trails.before(chunkId, earlier);
      newsList.update();
      stage.invalidate();
    });
  }

  #delta(data, happened) {
    const { worldView } = this;
    if (data.chunk_id !== worldView.chunkId || data.tick !== worldView.tick) return;
    const { stage, connection, looks, agentList, chosenCard, followPanel, doors, agentsIn } = this.#parts;
    looks.update(worldView.agents.values());
    this.#parts.trails.add(worldView.tick, worldView.agents.values());
    stage.update(worldView, this.#jump);
    this.#jump = false;
    connection.tick(worldView.tick);
    if (worldView.setBacks !== this.#setBacks) this.#parts.news.startAgain();
    this.#setBacks = worldView.setBacks;
    happened.forEach((event, index) => this.#tell(event, { chunkId: data.chunk_id, tick: data.tick, at: data.server_ts_ms, index }));
    if (happened.some(({ dir }) => dir)) {
      doors.update(worldView, agentsIn);
      doors.place(stage.camera);
      this.#parts.neighbours.show(worldView.neighbors);
    }
    this.#parts.arrived(worldView);
    agentList.update(worldView, stage.chosen);
    chosenCard.update(worldView);
    setText(byId("chunk-facts"), factsOf(worldView));
    setText(byId("summary"), summaryOf(worldView));
    if (this.agentId !== null) followPanel.place(this.agentId, worldView, this.#online);
    if (!this.#arrived) {
      this.#arrived = true;
      this.#parts.announcer.say(summaryOf(worldView));
    }
  }

  #tell(event, when) {
    const { news, newsList, looks, stage, announcer } = this.#parts;
    const nameOf = (id) => looks.of(id).full;
    const isNew = news.tell(event, when, nameOf);
    newsList.update();
    if (!isNew || Date.now() + this.#clockAhead - when.at > FRESH_MS) return;
    const agent = (id) => this.worldView.agents.get(id);
    if (event.type === "chat") {
      const [who, text] = [nameOf(String(event.from)), String(event.text).slice(0, SAID_MAX_CHARS)];
      stage.say(event.from, who, text);
      announcer.say(`${who} says: ${text}`);
    } else if (event.type === "blocked" && event.at) {
      stage.mark("blocked", event.at, agent(event.agent_id));
    } else if (event.type === "resource_harvest" && this.worldView.nodes.has(event.node_id)) {
      stage.mark("gold", this.worldView.nodes.get(event.node_id));
    } else if (event.type === "agent_joined" && agent(event.agent_id)) {
      stage.mark("joined", agent(event.agent_id));
    }
  }

  #resync(data) {
    this.#jump = true;
    const { chunkId, tick } = this.worldView;
    // Between what was seen last and what comes now.
    const when = { chunkId, tick, index: Number.MAX_SAFE_INTEGER, at: data.server_ts_ms };
    this.#note("connection", "", "Caught up with the present; what was missed is no longer kept", when);
  }

  #transition({ agent_id: who, from_chunk_id: from, to_chunk_id: to, tick, server_ts_ms: at }) {
    const isNew = this.#note("crossed", who, `went from ${from} to ${to}`, { chunkId: to, tick, index: -1, at });
    if (isNew) this.#parts.announcer.say(`${this.#parts.looks.of(who).full} went to ${to}.`);
    this.#parts.stage.setTarget(null);
  }

  /** A spectator's stream is over. */
  #gone(chunkId) {
    const back = Object.values(this.worldView.neighbors).find(Boolean) ?? "chunk-0";
    this.#parts.connection.show("stopped");
    this.#blank(chunkId, "removed");
    drawCurtain(`${chunkId} is gone`, "Nobody was in it for a while, so the world has removed it. Who goes there again finds a new chunk.", [
      [`Watch ${back}`, () => toChunk(back)],
    ]);
    this.#parts.announcer.say(`${chunkId} was removed.`);
  }

  /** An owner's says at once when the agent has come or gone. */
  #heartbeat({ agent_online: online }) {
    if (this.agentId !== null && typeof online === "boolean" && online !== this.#online) this.#presence(online);
  }

  #private(data) {
    if (data.agent_id === this.agentId && Number.isFinite(data.inventory?.gold)) {
      this.#parts.followPanel.gold(data.inventory.gold);
    }
  }

  #command(type, data) {
    if (!this.#commands.feed(type, data)) return;
    this.#parts.followPanel.commands(this.#commands);
    this.#showTarget();
  }

  #showTarget() {
    const { stage } = this.#parts;
    const what = stage.chosen === this.agentId ? this.#commands.running?.what : null;
    stage.setTarget(what?.type === "move_to" ? { x: what.x, y: what.y } : null);
  }

  #note(kind, who, text, when) {
    this.#parts.newsList.update();
    return this.#parts.news.note(kind, who, text, when);
  }

  #refused(error) {
    const { connection, access, sessions, followPanel } = this.#parts;
    connection.show("stopped");
    const reason = error instanceof AccessNeeded ? error.why : error.reason;
    if (error instanceof AccessNeeded || error.status === 401) {
      this.#blank(this.#wanted, "access needed");
      const choices = [["Give a token or key", () => access.open(reason)]];
      if (sessions.agentId && sessions.agentId !== this.agentId) {
        choices.push([`Follow ${sessions.agentId}`, () => toAgent(sessions.agentId)]);
      }
      drawCurtain("Access needed", reason ? reasonText(reason) : "This world wants to know who watches.", choices);
      access.open(reason);
      return;
    }
    this.#blank(this.#wanted, error.status === 404 ? "does not exist" : "can't be shown");
    if (this.agentId !== null) followPanel.refuse(this.agentId, reasonText(reason));
    const title = this.agentId === null ? `${this.#wanted} is not there` : `${this.agentId} can't be followed`;
    drawCurtain(title, reasonText(reason), [
      ["Watch chunk-0", () => toChunk("chunk-0")],
      ["Try again", this.#parts.reopen],
    ]);
    this.#parts.announcer.say(`${title}. ${reasonText(reason)}`);
  }
}

function factsOf(worldView) {
  return [counted(worldView.agents.size, "agent"), counted(worldView.npcs.size, "creature"), `${worldView.gold} gold`].join(" · ");
}
