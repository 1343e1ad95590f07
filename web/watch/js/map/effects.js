// What happens and passes: a blocked cell, a unit of gold, somebody who came in.

const FULL = Math.PI * 2;
const LIFE_MS = { blocked: 1600, gold: 1100, joined: 900 };
const KEPT_MAX = 60;

export class Effects {
  /** @type {{kind: "blocked" | "gold" | "joined", x: number, y: number, from: {x: number, y: number} | null, start: number}[]} */
  #shown = [];

  /** @param {"blocked" | "gold" | "joined"} kind  @param {{x: number, y: number}} cell */
  add(kind, cell, now, from = null) {
    this.#shown.push({ kind, x: cell.x, y: cell.y, from, start: now });
    if (this.#shown.length > KEPT_MAX) this.#shown.shift();
  }

  clear() {
    this.#shown = [];
  }

  /** @returns {boolean} Whether something is still to be seen. */
  draw(ctx, camera, colours, now, smooth) {
    this.#shown = this.#shown.filter(({ kind, start }) => now - start < LIFE_MS[kind]);
    for (const effect of this.#shown) {
      const part = (now - effect.start) / LIFE_MS[effect.kind];
      ctx.globalAlpha = part < 0.6 ? 1 : (1 - part) / 0.4;
      DRAW[effect.kind](ctx, camera, colours, effect, smooth ? part : 0.3);
    }
    ctx.globalAlpha = 1;
    return this.#shown.length > 0;
  }
}

const DRAW = {
  blocked(ctx, camera, colours, { x, y, from }) {
    // Between who was blocked and what stood there, so that neither is hidden.
    const at = from ? camera.at((x + from.x) / 2, (y + from.y) / 2) : camera.at(x, y);
    const size = Math.max(4, camera.scale * 0.3);
    ctx.lineCap = "round";
    const cross = () => {
      segment(ctx, { x: at.x - size, y: at.y - size }, { x: at.x + size, y: at.y + size });
      segment(ctx, { x: at.x + size, y: at.y - size }, { x: at.x - size, y: at.y + size });
    };
    stroke(ctx, colours.labelHalo, size * 0.85, cross);
    stroke(ctx, colours.blocked, size * 0.45, cross);
    ctx.lineCap = "butt";
  },

  gold(ctx, camera, colours, { x, y }, part) {
    const at = camera.at(x, y);
    const size = Math.max(11, Math.min(17, camera.scale * 0.8));
    ctx.font = `800 ${size}px ${colours.font}`;
    ctx.textAlign = "center";
    ctx.textBaseline = "middle";
    ctx.lineJoin = "round";
    ctx.lineWidth = 3.5;
    ctx.strokeStyle = colours.labelHalo;
    const top = at.y - camera.scale * (0.9 + part * 1.2);
    ctx.strokeText("+1", at.x, top);
    ctx.fillStyle = colours.gold;
    ctx.fillText("+1", at.x, top);
  },

  joined(ctx, camera, colours, { x, y }, part) {
    const at = camera.at(x, y);
    ctx.beginPath();
    ctx.arc(at.x, at.y, camera.scale * (0.4 + part * 1.3), 0, FULL);
    ctx.strokeStyle = colours.ring;
    ctx.lineWidth = Math.max(1.5, 3 * (1 - part));
    ctx.stroke();
  },
};

function segment(ctx, a, b) {
  ctx.moveTo(a.x, a.y);
  ctx.lineTo(b.x, b.y);
}

function stroke(ctx, style, width, path) {
  ctx.beginPath();
  path();
  ctx.strokeStyle = style;
  ctx.lineWidth = width;
  ctx.stroke();
}
