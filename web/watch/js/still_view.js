// A look at a moment of a chunk's past. It asks for pages and shows what they hold; the newest wish counts, and a picture
// that comes late never takes the place of a later one.

import { Backoff } from "../../sdk/index.js";
import { AccessNeeded } from "./net/sessions.js";
import { toChunk } from "./route.js";
import { News } from "./state/news.js";
import { comingsOf, eventsOf, HEARD_TICKS, Moment, storyOf, waysOf } from "./time/moment.js";
import { BLOCK_TICKS, lookUp, stepFrom } from "./time/pages.js";
import { drawCurtain } from "./ui/curtain.js";
import { gapText } from "./ui/words.js";

/** Blocks whose news and steps are shown with a moment. */
const STORY_BLOCKS = 2;
/** When somebody stays at a moment, the block before it is read too. */
const SETTLED_MS = 500;
const COMES_MS = 5_000;

export class StillView {
  agentId = null;
  news = new News();
  chunkId;
  /** The moment that is wanted. */
  tick;
  #parts;
  #pages;
  #moment = new Moment();
  #over = false;
  #reading = false;
  /** The tick that the picture shows, -1: none. */
  #shown = -1;
  #backoff = new Backoff();
  #retry = 0;
  #settle = 0;

  /**
   * @param {{chunkId: string, tick: number}} route
   * @param {object} parts  See main.js.
   */
  constructor({ chunkId, tick }, parts) {
    this.chunkId = chunkId === "demo" ? "chunk-0" : chunkId;
    this.tick = tick;
    this.#parts = parts;
    this.#pages = parts.pagesOf(this.chunkId);
  }

  get worldView() {
    return this.#moment.view;
  }

  open() {
    const { followPanel, scene, connection, time, stage, chosenCard, announcer } = this.#parts;
    followPanel.begin(null);
    scene.begin(this.news);
    stage.setTarget(null);
    chosenCard.show(stage.chosen, this.worldView);
    if (connection.phase !== "past") announcer.say("The past is shown.");
    connection.show("past");
    time.still(this.chunkId, this.tick);
    this.seek(this.tick);
  }

  close() {
    this.#over = true;
    clearTimeout(this.#retry);
    clearTimeout(this.#settle);
    // What comes after is another time.
    this.#parts.trails.enter(null);
  }

  shows({ chunkId, agentId, tick }) {
    return !this.#over && agentId === null && this.chunkId === chunkId && this.tick === tick;
  }

  retryNow() {
    if (!this.#reading && this.#shown !== this.tick) this.#read();
  }

  /** Show another moment. */
  seek(tick) {
    this.tick = tick;
    clearTimeout(this.#settle);
    const block = this.#pages.known(tick);
    if (block) this.#draw(block, tick);
    else if (!this.#reading) this.#read();
    this.#parts.time.busy(!block);
  }

  /** The moment of the next change, or of the one before. @param {1 | -1} way */
  stepTo(way) {
    return Math.max(0, stepFrom(this.#pages.known(this.tick), this.tick, way));
  }

  /** @param {string | null} agentId */
  choose(agentId) {
    const { stage, chosenCard, agentList } = this.#parts;
    stage.chosen = agentId;
    stage.tracking = true;
    chosenCard.show(agentId, this.worldView);
    agentList.update(this.worldView, stage.chosen);
    stage.invalidate();
  }

  /** Read what is wanted until it is there. One request is under way at a time; what it was for is shown, if nothing newer is. */
  async #read() {
    clearTimeout(this.#retry);
    this.#reading = true;
    try {
      while (!this.#over) {
        const tick = this.tick;
        const block = this.#pages.known(tick) ?? (await this.#pages.read(tick));
        if (this.#over) return;
        this.#backoff.reset();
        // A newer wish that needed no request has its picture already.
        if (this.tick === tick || this.#shown !== this.tick) this.#draw(block, tick);
        if (this.tick === tick || this.#shown === this.tick) break;
      }
      this.#parts.time.busy(false);
    } catch (error) {
      if (!this.#over) this.#failed(error);
    } finally {
      this.#reading = false;
    }
  }

  #failed(error) {
    if (error.mayPass && !(error instanceof AccessNeeded)) {
      const delayMs = this.#backoff.next(error.retryAfterMs ?? 0);
      this.#parts.time.trouble(error.reason);
      this.#retry = setTimeout(() => this.retryNow(), delayMs);
      return;
    }
    this.#over = true;
    this.#parts.scene.refused(error, this.worldView, this.chunkId, null);
  }

  #draw(block, tick) {
    const found = lookUp(block, tick);
    this.#shown = tick;
    if (found.what === "shown") this.#show(found.part, tick);
    else this.#nothing(found);
    this.#parts.time.shown(tick);
    if (this.tick === tick) this.#settle = setTimeout(() => this.#settled(tick), SETTLED_MS);
  }

  #show(part, tick) {
    const { scene, stage, looks } = this.#parts;
    const was = this.worldView.chunkId;
    const near = this.#moment.show(part, tick);
    looks.startOver();
    for (const everybody of comingsOf(part, tick)) looks.update(everybody);
    const { worldView } = this;
    if (!near) stage.forget();
    if (!near || was !== worldView.chunkId) scene.chunk(worldView, worldView.chunkId);
    this.#tell(tick, near);
    scene.moving(worldView, !near, near ? [] : waysOf(part, tick));
    scene.ways(worldView);
  }

  /** News and ways of the seconds before. */
  #tell(tick, near) {
    const { trails, looks, newsList, scene } = this.#parts;
    const { worldView, news } = this;
    const { chunkId } = worldView;
    looks.update(worldView.agents.values());
    const story = storyOf(this.#pages.upTo(tick, STORY_BLOCKS), tick);
    trails.enter(null);
    trails.enter(chunkId);
    for (const { delta } of story) trails.add(delta.tick, delta.agents ?? []);
    const nameOf = (id) => looks.of(id).full;
    if (!near) this.news.startOver();
    for (const { event, tick: when, index, at } of eventsOf(story)) {
      const isNew = news.tell(event, { chunkId, tick: when, at, index }, nameOf);
      // What is said stays in the air for a while; everything else is over at once.
      const heard = event.type === "chat" ? HEARD_TICKS : near ? 3 : 0;
      if (isNew && tick - when < heard) scene.play(event, worldView);
    }
    newsList.update();
  }

  #nothing({ what, reason }) {
    const { scene, announcer } = this.#parts;
    this.#moment.clear();
    this.news.startOver();
    const [title, text, facts] = WORDS[what](this.chunkId, reason);
    scene.blank(this.worldView, null, this.chunkId, facts);
    drawCurtain(title, text, [["Watch it live", () => toChunk(this.chunkId)]]);
    announcer.say(`${title}. ${text}`);
    if (reason === "not_yet_recorded") {
      this.#retry = setTimeout(() => this.#reading || this.#over || this.#read(), COMES_MS);
    }
  }

  /** Somebody stays here: what was before is read too, for news, for ways, and for steps back. */
  async #settled(tick) {
    const before = Math.floor(tick / BLOCK_TICKS) * BLOCK_TICKS - 1;
    if (this.#over || this.#reading || before < this.#parts.time.oldest || this.#pages.known(before)) return;
    try {
      await this.#pages.read(before);
    } catch {
      return; // it is asked again when it is wanted
    }
    if (this.#over || this.#shown !== tick || this.worldView.chunkId === null) return;
    this.#tell(tick, true);
    this.#parts.stage.invalidate();
  }
}

const WORDS = {
  gap: (chunkId, reason) => ["This moment can't be shown", gapText(reason), "not kept"],
  absent: (chunkId) => [`${chunkId} was not there`, "At this moment the world did not have this chunk: nobody had come here yet, or it had been removed.", "not there then"],
  closed: (chunkId) => [`${chunkId} was removed`, "Nobody had been in it for a while, so the world removed it.", "removed"],
};
