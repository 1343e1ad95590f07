// What agents say, above them. Elements over the canvas, so that the text of strangers is set as text and wraps as text.

import { el } from "../dom.js";
import { agentRadius } from "./tokens.js";

const SHOWN_MAX = 10;
const LIFE_MS = 4_000;
const LIFE_PER_CHAR_MS = 45;
const LIFE_MAX_MS = 10_000;
const EDGE = 8;

export function lifeOf(text) {
  return Math.min(LIFE_MAX_MS, LIFE_MS + text.length * LIFE_PER_CHAR_MS);
}

export class Bubbles {
  #root;
  /** @type {Map<string, {node: HTMLElement, until: number, width: number, height: number}>} The oldest first. */
  #shown = new Map();

  /** @param {HTMLElement} root */
  constructor(root) {
    this.#root = root;
  }

  /** @param {string} agentId  @param {string} name  @param {string} text */
  say(agentId, name, text, now) {
    this.#drop(agentId);
    const node = el("div", { class: "bubble", "data-agent": agentId }, el("b", { dir: "auto" }, name), el("span", { dir: "auto" }, text));
    this.#root.append(node);
    const { offsetWidth: width, offsetHeight: height } = node;
    this.#shown.set(agentId, { node, until: now + lifeOf(text), width, height });
    if (this.#shown.size > SHOWN_MAX) this.#drop(this.#shown.keys().next().value);
  }

  speaks(agentId) {
    return this.#shown.has(agentId);
  }

  clear() {
    for (const id of [...this.#shown.keys()]) this.#drop(id);
  }

  /**
   * Put each above its agent; those whose agent or time is gone go.
   * @returns {boolean} Whether one is still there.
   */
  place(bodies, camera, now) {
    const placed = [];
    for (const [id, bubble] of [...this.#shown].reverse()) {
      const body = bodies.get(id);
      if (!body || now >= bubble.until) {
        this.#drop(id);
        continue;
      }
      const at = camera.at(body.x, body.y);
      const seen = at.x > -20 && at.y > -20 && at.x < camera.width + 20 && at.y < camera.height + 20;
      bubble.node.hidden = !seen;
      if (seen) placed.push(this.#put(bubble, at, agentRadius(camera.scale), camera, placed));
    }
    return this.#shown.size > 0;
  }

  #put({ node, width, height }, at, radius, camera, placed) {
    const left = clamp(at.x - width / 2, EDGE, camera.width - width - EDGE);
    let top = at.y - radius - height - 9;
    // Above those that are there already, as long as there is room.
    for (const other of placed) {
      const beside = left + width <= other.left || other.right <= left || top + height <= other.top || other.bottom <= top;
      if (!beside) top = other.top - height - 4;
    }
    const below = top < EDGE;
    if (below) top = at.y + radius + 9;
    node.classList.toggle("below", below);
    node.style.transform = `translate(${Math.round(left)}px, ${Math.round(top)}px)`;
    node.style.setProperty("--tail", `${Math.round(clamp(at.x - left, 12, width - 12))}px`);
    return { left, right: left + width, top, bottom: top + height };
  }

  #drop(id) {
    this.#shown.get(id)?.node.remove();
    this.#shown.delete(id);
  }
}

function clamp(n, least, most) {
  return Math.max(least, Math.min(n, Math.max(least, most)));
}
