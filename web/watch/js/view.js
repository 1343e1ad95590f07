// One look at the world: a chunk as a spectator sees it, now or played from a moment of its past, or an agent as its owner
// does. It ends when another begins.

import { ChunkGone, Watcher } from "../../sdk/index.js";
import { BASE } from "./net/api.js";
import { toChunk } from "./route.js";
import { CommandLog } from "./state/commands.js";
import { summaryOf } from "./ui/agent_list.js";
import { drawCurtain, openCurtain } from "./ui/curtain.js";

/** What is older than this is news, but nothing that happens now. */
const FRESH_MS = 5_000;

export class View {
  worldView;
  agentId;
  /** What it tells of what happened. */
  news;
  #chunkId;
  #parts;
  #watcher;
  #over = false;
  #commands = new CommandLog();
  #online = true;
  #jump = true;
  #arrived = false;
  /** Whether the past is played, and the present not reached yet. */
  #playing;
  #setBacks = 0;
  /** The chunk of which it was asked what happened before. */
  #remembered = null;
  /** The server's clock minus this page's, in milliseconds. */
  #clockAhead = 0;

  /**
   * @param {{chunkId: string | null, agentId: string | null}} route
   * @param {object} parts  See main.js.
   * @param {{fromTick: number, speed: number, news: import("./state/news.js").News} | null} play  The past, from there on.
   */
  constructor({ chunkId, agentId }, parts, play = null) {
    this.agentId = agentId;
    this.news = play?.news ?? parts.news;
    this.#chunkId = chunkId;
    this.#parts = parts;
    this.#playing = play !== null;
    const options = {
      sessions: parts.sessions.of(agentId),
      onPhase: (phase, waitMs) => this.#over || this.#phase(phase, waitMs),
      // Somebody looks on; they are told how it stands, and the page goes on by itself.
      openTimeoutMs: null,
      awayTimeoutMs: null,
      ...(play && { fromTick: play.fromTick, speed: play.speed }),
    };
    this.#watcher = agentId === null ? Watcher.chunk(BASE, chunkId, options) : Watcher.owner(BASE, agentId, options);
    this.worldView = this.#watcher.view;
  }

  open() {
    const { followPanel, chosenCard, stage, scene, time } = this.#parts;
    followPanel.begin(this.agentId);
    scene.begin(this.news);
    // Who is chosen stays so while time goes on.
    if (!this.#playing) {
      time.present();
      stage.chosen = this.agentId;
      chosenCard.show(null, this.worldView);
    }
    stage.setTarget(null);
    this.#watch();
  }

  close() {
    this.#over = true;
    this.#watcher.close();
    // What comes after is another time.
    if (this.#playing) this.#parts.trails.enter(null);
  }

  /** Whether it is the look at this chunk as it is, or at this agent, and goes on. */
  shows({ chunkId, agentId, tick }) {
    return !this.#over && !this.#playing && tick === null && this.#chunkId === chunkId && this.agentId === agentId;
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
      else this.#parts.scene.refused(error, this.worldView, this.#wanted, this.agentId);
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
    if (phase === "connecting" && (connection.phase === "waiting" || this.#playing)) return;
    if (phase === "waiting" && ["live", "past"].includes(connection.phase)) announcer.say("Connection lost. Trying again.");
    if (phase === "live" && this.#watcher.connections > 1) announcer.say("Connected again.");
    connection.show(phase === "live" && this.#playing ? "past" : phase, waitMs);
    if (phase === "waiting" && this.worldView.chunkId === null && !this.#playing) {
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

  #blank(title, facts) {
    this.#remembered = null;
    this.#jump = true;
    this.#parts.scene.blank(this.worldView, this.agentId, title, facts);
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
      case "playback":
        return this.#playback(data);
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
    this.#online = true;
    if (this.#parts.scene.chunk(this.worldView, this.agentId ?? this.worldView.chunkId)) this.#arrived = false;
    this.#parts.trails.enter(this.worldView.chunkId);
    if (!this.#playing) this.#remember();
  }

  /** What happened here before, once for each coming. */
  #remember() {
    const { chunkId } = this.worldView;
    const { trails, past, newsList, looks, stage } = this.#parts;
    if (this.#remembered === chunkId) return;
    this.#remembered = chunkId;
    past.of(chunkId, ({ events, trails: earlier }) => {
      if (this.#over || this.worldView.chunkId !== chunkId) return;
      for (const { event, tick, index, at } of events) this.news.tell(event, { chunkId, tick, at, index }, (id) => looks.of(id).full);
      trails.before(chunkId, earlier);
      newsList.update();
      stage.invalidate();
    });
  }

  #delta(data, happened) {
    const { worldView } = this;
    if (data.chunk_id !== worldView.chunkId || data.tick !== worldView.tick) return;
    const { connection, scene, followPanel, time } = this.#parts;
    this.#parts.trails.add(worldView.tick, worldView.agents.values());
    scene.moving(worldView, this.#jump);
    this.#jump = false;
    if (this.#playing) {
      time.played(worldView.tick);
    } else {
      connection.tick(worldView.tick);
      time.arrived(worldView.chunkId, worldView.tick, data.server_ts_ms - this.#clockAhead);
    }
    if (worldView.setBacks !== this.#setBacks) this.news.startAgain();
    this.#setBacks = worldView.setBacks;
    happened.forEach((event, index) => this.#tell(event, { chunkId: data.chunk_id, tick: data.tick, at: data.server_ts_ms, index }));
    if (happened.some(({ dir }) => dir)) scene.ways(worldView);
    this.#parts.arrived(worldView);
    if (this.agentId !== null) followPanel.place(this.agentId, worldView, this.#online);
    if (!this.#arrived) {
      this.#arrived = true;
      if (!this.#playing) this.#parts.announcer.say(summaryOf(worldView));
    }
  }

  #tell(event, when) {
    const { newsList, looks, announcer, scene } = this.#parts;
    const isNew = this.news.tell(event, when, (id) => looks.of(id).full);
    newsList.update();
    const isFresh = this.#playing || Date.now() + this.#clockAhead - when.at <= FRESH_MS;
    if (!isNew || !isFresh) return;
    const said = scene.play(event, this.worldView);
    if (said) announcer.say(said);
  }

  #resync(data) {
    this.#jump = true;
    const { chunkId, tick } = this.worldView;
    // Between what was seen last and what comes now.
    const when = { chunkId, tick, index: Number.MAX_SAFE_INTEGER, at: data.server_ts_ms };
    this.#note("connection", "", "Caught up with the present; what was missed is no longer kept", when);
  }

  /** Where in time what comes next is. */
  #playback({ state, tick, reason, from_tick: from, to_tick: to }) {
    const { time, connection } = this.#parts;
    if (!this.#playing) return;
    if (state === "playing") {
      time.played(Math.max(0, tick - 1));
    } else if (state === "gap") {
      this.#jump = true;
      time.skipped(from, to, reason);
    } else if (state === "live") {
      this.#playing = false;
      connection.show("live");
      if (this.worldView.tick >= 0) connection.tick(this.worldView.tick);
      time.reached(this.worldView.chunkId ?? this.#wanted);
      if (this.worldView.chunkId !== null) this.#remember();
    }
  }

  #transition({ agent_id: who, from_chunk_id: from, to_chunk_id: to, tick, server_ts_ms: at }) {
    const isNew = this.#note("crossed", who, `went from ${from} to ${to}`, { chunkId: to, tick, index: -1, at });
    if (isNew) this.#parts.announcer.say(`${this.#parts.looks.of(who).full} went to ${to}.`);
    this.#parts.stage.setTarget(null);
  }

  /** A spectator's stream is over. */
  #gone(chunkId) {
    const back = Object.values(this.worldView.neighbors).find(Boolean) ?? "chunk-0";
    if (this.#playing) this.#parts.time.still(chunkId, this.worldView.tick);
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
    return this.news.note(kind, who, text, when);
  }
}
