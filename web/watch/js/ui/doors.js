// Doors: buttons at the openings of the four sides, each to the chunk behind it. They belong to the map and move with
// it; where their place is out of sight or under something else, they are away. Where there is little room (the style
// sheet says so) they stand in a bar of their own, beside the map.

import { el, setText, svg } from "../dom.js";
import { SIDE_NAMES } from "../state/sides.js";
import { counted } from "./words.js";

const ARROWS = { N: "M12 19V5m-6 6 6-6 6 6", E: "M5 12h14m-6-6 6 6-6 6", S: "M12 5v14m-6-6 6 6 6-6", W: "M19 12H5m6-6-6 6 6 6" };
const GAP = 6;

export class Doors {
  #root;
  #doors = {};
  #cells = { N: [], E: [], S: [], W: [] };
  /** What each door names: it leads there even while the chunk that is opened has not told its own neighbours. */
  #there = {};
  #others;
  #go;

  /**
   * @param {HTMLElement} root
   * @param {(side: string, there: string) => void} go  To the chunk that the door names.
   * @param {HTMLElement[]} others  What doors must not lie upon.
   */
  constructor(root, go, others) {
    this.#root = root;
    this.#go = go;
    this.#others = others;
    for (const side of "WNSE") {
      const name = el("span", { class: "door-name" });
      const count = el("span", { class: "door-count" });
      const arrow = svg("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" }, svg("path", { d: ARROWS[side] }));
      const button = el("button", { type: "button", class: `door door-${side}`, hidden: true }, arrow, name, count);
      button.addEventListener("click", () => this.through(side));
      root.append(button);
      this.#doors[side] = { button, name, count };
    }
  }

  /** Go where the door on this side leads, if it leads anywhere. @param {string} side */
  through(side) {
    const there = this.#there[side];
    if (there) this.#go(side, there);
  }

  /**
   * @param {import("../../../sdk/index.js").WorldView} worldView
   * @param {(chunkId: string) => number | null} agentsIn  How many agents a chunk is known to have.
   */
  update(worldView, agentsIn) {
    this.#cells = worldView.exits();
    for (const [side, { button, name, count }] of Object.entries(this.#doors)) {
      const there = worldView.neighbors[side] ?? null;
      this.#there[side] = there;
      button.hidden = this.#cells[side].length === 0 && there === null;
      button.disabled = there === null;
      const agents = there === null ? null : agentsIn(there);
      setText(name, there ?? "unexplored");
      setText(count, agents ? String(agents) : "");
      const who = agents === null ? "" : `, ${counted(agents, "agent")}`;
      const label = there === null ? `${SIDE_NAMES.get(side)}: unexplored` : `${SIDE_NAMES.get(side)}: ${there}${who}`;
      if (button.getAttribute("aria-label") !== label) button.setAttribute("aria-label", label);
    }
  }

  /** Put each beside the middle of its opening. @param {import("../map/camera.js").Camera} camera */
  place(camera) {
    this.#root.classList.toggle("in-bar", camera.doorsInBar);
    const others = camera.doorsInBar ? [] : this.#others.filter((node) => node.checkVisibility()).map(boxOf);
    for (const [side, { button }] of Object.entries(this.#doors)) {
      if (button.hidden) continue;
      if (camera.doorsInBar) {
        button.classList.remove("away");
        button.style.transform = "";
        continue;
      }
      const box = beside(camera, side, this.#cells[side], button.offsetWidth, button.offsetHeight);
      button.style.transform = `translate(${box.left}px, ${box.top}px)`;
      const outside = box.left < 0 || box.top < 0 || box.right > camera.width || box.bottom > camera.height;
      button.classList.toggle("away", outside || others.some((other) => overlap(box, other)));
    }
  }
}

/** Where a door of this size stands: outside of the chunk, in the middle of its opening. */
function beside(camera, side, cells, width, height) {
  const middle = cells[Math.floor(cells.length / 2)] ?? { x: 25, y: 25 };
  const back = cells.length % 2 ? 0 : 0.5;
  const at = camera.at(middle.x - back, middle.y - back);
  const out = camera.scale / 2 + GAP;
  const x = at.x + { N: 0, S: 0, E: out + width / 2, W: -out - width / 2 }[side];
  const y = at.y + { N: -out - height / 2, S: out + height / 2, E: 0, W: 0 }[side];
  const [left, top] = [Math.round(x - width / 2), Math.round(y - height / 2)];
  return { left, top, right: left + width, bottom: top + height };
}

/** In pixels of the stage. */
function boxOf({ offsetLeft: left, offsetTop: top, offsetWidth: width, offsetHeight: height }) {
  return { left, top, right: left + width, bottom: top + height };
}

function overlap(a, b) {
  return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
}
