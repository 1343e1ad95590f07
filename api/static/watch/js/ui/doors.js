// Doors: buttons at the openings of the four sides, each to the chunk behind it.

import { el, setText } from "../dom.js";
import { SIDE_NAMES, counted } from "./words.js";

const ARROWS = { N: "M12 19V5m-6 6 6-6 6 6", E: "M5 12h14m-6-6 6 6-6 6", S: "M12 5v14m-6-6 6 6 6-6", W: "M19 12H5m6-6-6 6 6 6" };
const SVG = "http://www.w3.org/2000/svg";

export class Doors {
  #doors = {};
  #cells = { N: [], E: [], S: [], W: [] };

  /** @param {HTMLElement} root  @param {(side: string) => void} go */
  constructor(root, go) {
    for (const side of "NWES") {
      const name = el("span", { class: "door-name" });
      const count = el("span", { class: "door-count" });
      const button = el("button", { type: "button", class: `door door-${side}`, hidden: true }, arrow(side), name, count);
      button.addEventListener("click", () => go(side));
      root.append(button);
      this.#doors[side] = { button, name, count };
    }
  }

  /**
   * @param {import("../state/mirror.js").Mirror} mirror
   * @param {(chunkId: string) => number | null} agentsIn  How many agents a chunk is known to have.
   */
  update(mirror, agentsIn) {
    this.#cells = mirror.exits();
    for (const [side, { button, name, count }] of Object.entries(this.#doors)) {
      const there = mirror.neighbors[side] ?? null;
      button.hidden = this.#cells[side].length === 0 && there === null;
      button.disabled = there === null;
      const agents = there === null ? null : agentsIn(there);
      setText(name, there ?? "unexplored");
      setText(count, agents ? String(agents) : "");
      const who = agents === null ? "" : `, ${counted(agents, "agent")}`;
      const label = there === null ? `${SIDE_NAMES[side]}: unexplored` : `${SIDE_NAMES[side]}: ${there}${who}`;
      if (button.getAttribute("aria-label") !== label) button.setAttribute("aria-label", label);
    }
  }

  /** Put each at the middle of its opening, never outside the stage. @param {import("../map/camera.js").Camera} camera */
  place(camera) {
    for (const [side, { button }] of Object.entries(this.#doors)) {
      if (button.hidden) continue;
      const cells = this.#cells[side];
      const middle = cells[Math.floor(cells.length / 2)] ?? { x: 25, y: 25 };
      const at = camera.at(middle.x - (cells.length % 2 ? 0 : 0.5), middle.y - (cells.length % 2 ? 0 : 0.5));
      const half = { x: button.offsetWidth / 2, y: button.offsetHeight / 2 };
      // Beside the chunk, or over its edge where there is no room above and below it.
      const beside = camera.scale * 0.5 + 6;
      const outwards = { x: beside + half.x, y: camera.doorsInside ? -half.y : beside + half.y };
      const x = at.x + { N: 0, S: 0, E: outwards.x, W: -outwards.x }[side];
      const y = at.y + { N: -outwards.y, S: outwards.y, E: 0, W: 0 }[side];
      const left = clamp(x - half.x, 6, camera.width - 2 * half.x - 6);
      const top = clamp(y - half.y, 6, camera.height - 2 * half.y - 6);
      button.style.transform = `translate(${Math.round(left)}px, ${Math.round(top)}px)`;
    }
  }
}

function arrow(side) {
  const picture = document.createElementNS(SVG, "svg");
  picture.setAttribute("viewBox", "0 0 24 24");
  picture.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", ARROWS[side]);
  picture.append(path);
  return picture;
}

function clamp(n, least, most) {
  return Math.max(least, Math.min(n, most));
}
