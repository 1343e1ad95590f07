// The map: terrain, things and what happens, drawn only while something moves.

import { Bubbles } from "./bubbles.js";
import { Camera } from "./camera.js";
import { Effects } from "./effects.js";
import { drawLabels } from "./labels.js";
import { Motion, opacity } from "./motion.js";
import { OFFSETS } from "./neighbours.js";
import { mapColours } from "./palette.js";
import { Terrain } from "./terrain.js";
import { drawTrail } from "./trail.js";
import { agentRadius, choiceRadius, drawAgent, drawChoice, drawGlow, drawGold, drawNpc } from "./tokens.js";

const CLOSE_LOOK = 2.2;

export class Stage {
  camera = new Camera();
  #root;
  #canvas;
  #ctx;
  #ground = document.createElement("canvas");
  #groundState = "";
  #colours = mapColours();
  #version = 0;
  #terrain = null;
  /** @type {Record<string, Terrain>} Of the chunks beside it, as far as they are known. */
  #beside = {};
  #agents = new Motion();
  #npcs = new Motion();
  #effects = new Effects();
  #bubbles;
  #nodes = [];
  #target = null;
  #frame = 0;
  #moved;
  #place = "";
  #looks;
  #trails;

  /** Whose ring is drawn, if anybody's. */
  chosen = null;
  /** Whether a close view keeps the chosen one in sight. */
  tracking = true;
  hovered = null;
  smooth = true;
  /** The side that the next chunk is entered from, for how it slides in; null: it is just there. */
  leaving = null;

  /**
   * @param {HTMLElement} root  The stage.
   * @param {import("../state/looks.js").Looks} looks
   * @param {import("../state/trails.js").Trails} trails
   * @param {() => void} moved  Called whenever the chunk is drawn at another place, or in another size.
   */
  constructor(root, canvas, bubbles, looks, trails, moved) {
    this.#looks = looks;
    this.#trails = trails;
    this.#root = root;
    this.#canvas = canvas;
    this.#ctx = canvas.getContext("2d", { alpha: false });
    this.#bubbles = new Bubbles(bubbles);
    this.#moved = moved;
    new ResizeObserver(() => this.resize()).observe(canvas);
  }

  /** Another chunk, or the same one anew. */
  setTerrain(grid) {
    this.#terrain = grid.length ? new Terrain(grid) : null;
    this.#version += 1;
    if (grid.length) {
      this.camera.cells = { w: grid[0].length, h: grid.length };
      if (this.camera.isClose) this.camera.panBy(0, 0);
      else this.camera.fit();
      this.camera.jump();
    }
    this.#effects.clear();
    this.#bubbles.clear();
    this.#slide();
    this.#moved();
    this.invalidate();
  }

  /** The chunks beside it. @param {Record<string, Terrain>} terrains  By side. */
  setBeside(terrains) {
    this.#beside = terrains;
    this.#version += 1;
    this.invalidate();
  }

  /**
   * @param {import("../../../sdk/index.js").WorldView} worldView
   * @param {boolean} jump  Nothing came here from anywhere.
   * @param {{agents: object[], npcs: object[]}[]} ways  Where it was before nevertheless: things look where they went.
   */
  update(worldView, jump, ways = []) {
    const now = performance.now();
    this.#agents.smooth = this.#npcs.smooth = this.smooth;
    this.#agents.update(worldView.agents.values(), now, jump, ways.map(({ agents }) => agents));
    this.#npcs.update(worldView.npcs.values(), now, jump, ways.map(({ npcs }) => npcs));
    this.#nodes = [...worldView.nodes.values()];
    this.invalidate();
  }

  say(agentId, name, text) {
    this.#bubbles.say(agentId, name, text, performance.now());
    this.invalidate();
  }

  /** What was said and what happened is over: another moment is shown. */
  forget() {
    this.#effects.clear();
    this.#bubbles.clear();
  }

  /** @param {"blocked" | "gold" | "joined"} kind */
  mark(kind, cell, from = null) {
    this.#effects.add(kind, cell, performance.now(), from);
    this.invalidate();
  }

  /** Where the chosen agent is going, `{x, y}` or null. */
  setTarget(cell) {
    this.#target = cell;
    this.invalidate();
  }

  /** Look closer at who was just chosen. */
  approach() {
    const body = this.#agents.bodies.get(this.chosen);
    if (!body) return;
    this.tracking = true;
    if (!this.camera.isClose) this.camera.zoomBy(CLOSE_LOOK);
    this.camera.lookAt(body.thing.x, body.thing.y);
    this.invalidate();
  }

  /** The agent at a pixel, or null. */
  idAt(px, py) {
    const reach = Math.max(16, agentRadius(this.camera.scale) + 4);
    let best = null;
    for (const [id, body] of this.#agents.bodies) {
      const at = this.camera.at(body.x, body.y);
      const far = Math.hypot(at.x - px, at.y - py);
      if (body.gone === Infinity && far < reach && (!best || far < best.far)) best = { id, far };
    }
    return best?.id ?? null;
  }

  /** Colours or sizes of the style sheet have changed. */
  restyle() {
    this.#colours = mapColours();
    this.#version += 1;
    this.invalidate();
  }

  resize() {
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    if (!width || !height) return;
    const ratio = Math.min(3, window.devicePixelRatio || 1);
    for (const canvas of [this.#canvas, this.#ground]) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    const style = getComputedStyle(this.#root);
    const margin = (side) => Number.parseFloat(style.getPropertyValue(`--margin-${side}`)) || 0;
    Object.assign(this.camera, { width, height, doorsInBar: margin("bar") > 0 });
    this.camera.margin = { top: margin("top"), right: margin("right"), bottom: margin("bottom"), left: margin("left") };
    if (!this.camera.isClose) this.camera.fit();
    this.camera.jump();
    this.#version += 1;
    this.#moved();
    // At once: a resized canvas is empty.
    this.#draw(performance.now());
  }

  #slide() {
    const side = this.leaving;
    this.leaving = null;
    this.#canvas.classList.remove("from-N", "from-E", "from-S", "from-W");
    if (!side || !this.smooth) return;
    void this.#canvas.offsetWidth;
    this.#canvas.classList.add(`from-${side}`);
  }

  invalidate() {
    if (!this.#frame) this.#frame = requestAnimationFrame((now) => this.#tick(now));
  }

  #tick(now) {
    this.#frame = 0;
    if (this.#draw(now)) this.invalidate();
  }

  /** @returns {boolean} Whether there is more to see in the next frame. */
  #draw(now) {
    const moving = [this.#agents.advance(now), this.#npcs.advance(now)].includes(true);
    const looking = this.#look();
    const ctx = this.#ctx;
    this.#drawGround(ctx);
    const ratio = this.#canvas.width / this.camera.width;
    ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
    if (this.#terrain) this.#drawThings(ctx, now);
    const passing = this.#effects.draw(ctx, this.camera, this.#colours, now, this.smooth);
    const speaking = this.#bubbles.place(this.#agents.bodies, this.camera, now);
    const working = this.smooth && (this.#chosenBody !== null || this.#anyHarvest());
    return moving || looking || passing || speaking || working;
  }

  /** Keep the chosen one in sight while the view is close. */
  #look() {
    const body = this.#chosenBody;
    if (body && this.tracking && this.camera.isClose) this.camera.lookAt(body.x, body.y);
    const more = this.camera.advance(this.smooth);
    // Compared with what was drawn last: a drag or a pinch has moved the camera before.
    const { place } = this.camera;
    if (place !== this.#place) {
      this.#place = place;
      this.#moved();
    }
    return more;
  }

  get #chosenBody() {
    return this.#agents.bodies.get(this.chosen) ?? null;
  }

  #anyHarvest() {
    for (const body of this.#agents.bodies.values()) if (body.thing.activity === "harvesting") return true;
    return false;
  }

  /** The terrain, from where it was kept if nothing about it has changed. */
  #drawGround(ctx) {
    const state = `${this.#version} ${this.camera.place}`;
    if (state !== this.#groundState) {
      this.#groundState = state;
      const ground = this.#ground.getContext("2d", { alpha: false });
      const ratio = this.#ground.width / this.camera.width;
      ground.setTransform(ratio, 0, 0, ratio, 0, 0);
      if (this.#terrain) {
        this.#terrain.draw(ground, this.camera, this.#colours);
        for (const [side, terrain] of Object.entries(this.#beside)) terrain.drawBeside(ground, this.camera, this.#colours, ...OFFSETS[side]);
      } else {
        ground.fillStyle = this.#colours.rock;
        ground.fillRect(0, 0, this.camera.width, this.camera.height);
      }
    }
    ctx.setTransform(1, 0, 0, 1, 0, 0);
    ctx.drawImage(this.#ground, 0, 0);
  }

  #drawThings(ctx, now) {
    const { camera } = this;
    const colours = this.#colours;
    const scale = camera.scale;
    for (const node of this.#nodes) drawGlow(ctx, camera.at(node.x, node.y), scale, node, colours);
    for (const node of this.#nodes) drawGold(ctx, camera.at(node.x, node.y), scale, node, colours);
    this.#drawTrail(ctx);
    this.#drawTarget(ctx);
    for (const body of this.#npcs.bodies.values()) {
      ctx.globalAlpha = opacity(body, now);
      drawNpc(ctx, camera.at(body.x, body.y), scale, body, colours);
    }
    // The southern ones stand in front.
    const bodies = [...this.#agents.bodies.values()].sort((a, b) => b.y - a.y);
    for (const body of bodies) {
      ctx.globalAlpha = opacity(body, now);
      const at = camera.at(body.x, body.y);
      if (body.thing.id === this.chosen) drawChoice(ctx, at, scale, colours, now, this.smooth);
      drawAgent(ctx, at, scale, body, this.#looks.of(body.thing.id), colours, now, this.smooth);
    }
    ctx.globalAlpha = 1;
    drawLabels(ctx, this.#labels(), camera, colours);
  }

  #labels() {
    const radius = agentRadius(this.camera.scale);
    const wanted = [];
    for (const [id, body] of this.#agents.bodies) {
      if (body.gone !== Infinity) continue;
      const first = id === this.chosen || id === this.hovered;
      const around = id === this.chosen ? choiceRadius(this.camera.scale) : radius;
      // Whose name is in a bubble needs no other.
      const { full, label } = this.#looks.of(id);
      const text = this.#bubbles.speaks(id) ? "" : label;
      wanted.push({ text, full, ...this.camera.at(body.x, body.y), radius: around, first });
    }
    for (const node of this.#nodes) wanted.push({ text: "", full: "", ...this.camera.at(node.x, node.y), radius, first: false });
    return wanted;
  }

  /** The way that the chosen agent has come. */
  #drawTrail(ctx) {
    if (this.chosen === null) return;
    const body = this.#chosenBody;
    const here = body && body.gone === Infinity ? body : null;
    drawTrail(ctx, this.camera, this.#trails.of(this.chosen), here, this.#looks.of(this.chosen).fill, this.#colours.outline);
  }

  /** A flag where the chosen agent wants to be, and a line to it. */
  #drawTarget(ctx) {
    const body = this.#chosenBody;
    if (!body || !this.#target) return;
    const at = this.camera.at(this.#target.x, this.#target.y);
    const from = this.camera.at(body.x, body.y);
    const size = Math.max(5, this.camera.scale * 0.45);
    ctx.strokeStyle = this.#colours.target;
    ctx.lineWidth = 1.5;
    ctx.setLineDash([2, 5]);
    ctx.beginPath();
    ctx.moveTo(from.x, from.y);
    ctx.lineTo(at.x, at.y);
    ctx.stroke();
    ctx.setLineDash([]);
    ctx.lineWidth = 2;
    ctx.strokeRect(at.x - size / 2, at.y - size / 2, size, size);
  }
}
