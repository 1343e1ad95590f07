// Floor and wall of a chunk: rooms carved out of rock. The paths are made once for each chunk, in cells, and drawn at
// any size.

import { outlines, roundedPath } from "./outline.js";

const CORNER = 0.3;
/** How much of a wall's front is seen above the floor to its south. */
const FACE = 0.55;
/** So far a way out is drawn beyond the edge, fading. */
const BEYOND = 1.6;
/** Cells beyond the edge that are made, and covered again: more than any contour is wide. */
const OUTSIDE = 6;
const MARKED_DEPTH = 2;
/** How much of a neighbouring chunk is seen. */
const BESIDE_ALPHA = 0.42;
/** Cells from the walls, and how strong; the farthest first, because each covers what is inside of it. */
const CONTOURS = [
  [4.6, 0.25],
  [3, 0.5],
  [1.7, 0.8],
];

export class Terrain {
  #w;
  #h;
  #floor;
  #tiles = new Path2D();
  #worn = new Path2D();
  #rubble = new Path2D();

  /** @param {number[][]} grid  `grid[y][x]`, 1 is wall. */
  constructor(grid) {
    this.#h = grid.length;
    this.#w = grid[0].length;
    const floorAt = (u, v) => grid[this.#h - 1 - clamp(v, this.#h)][clamp(u, this.#w)] === 0;
    // Beyond the edge the chunk's last cells go on, so that a way out is open there; corners are in the rock.
    const far = OUTSIDE;
    const inside = (u, v) => {
      const out = (u < 0 || u >= this.#w ? 1 : 0) + (v < 0 || v >= this.#h ? 1 : 0);
      return out < 2 && u >= -far && v >= -far && u < this.#w + far && v < this.#h + far && floorAt(u, v);
    };
    this.#floor = roundedPath(outlines(inside, { left: -far, top: -far, right: this.#w + far, bottom: this.#h + far }), CORNER);
    this.#texture(inside);
  }

  /**
   * @param {CanvasRenderingContext2D} ctx  Its unit is a pixel of the style sheet.
   * @param {import("./camera.js").Camera} camera
   * @param {Record<string, string>} colours
   */
  draw(ctx, camera, colours) {
    ctx.fillStyle = colours.rock;
    ctx.fillRect(0, 0, camera.width, camera.height);
    const { x, y } = camera.origin;
    ctx.save();
    ctx.translate(x, y);
    ctx.scale(camera.scale, camera.scale);
    this.#drawContours(ctx, camera.scale, colours);
    ctx.fillStyle = colours.rockMark;
    ctx.fill(this.#rubble);
    this.#drawFloor(ctx, camera.scale, colours);
    this.#fadeOut(ctx, colours.rock);
    ctx.restore();
  }

  /**
   * Draw it dimly, `du` and `dv` chunks beside the one in the middle, and nothing beyond its own edges.
   * @param {number} du  @param {number} dv  To the right, and down.
   */
  drawBeside(ctx, camera, colours, du, dv) {
    const { x, y } = camera.origin;
    const { w, h } = camera.cells;
    ctx.save();
    ctx.translate(x, y);
    ctx.scale(camera.scale, camera.scale);
    ctx.translate(du * w, dv * h);
    ctx.beginPath();
    ctx.rect(0, 0, this.#w, this.#h);
    ctx.clip();
    ctx.fillStyle = colours.rock;
    ctx.fill();
    ctx.globalAlpha = BESIDE_ALPHA;
    ctx.fillStyle = colours.floor;
    ctx.fill(this.#floor);
    ctx.strokeStyle = colours.edge;
    ctx.lineWidth = Math.max(1.2 / camera.scale, 0.07);
    ctx.stroke(this.#floor);
    ctx.restore();
  }

  #drawFloor(ctx, scale, colours) {
    const hair = 1 / scale;
    ctx.save();
    ctx.clip(this.#floor);
    ctx.fillStyle = colours.face;
    ctx.fill(this.#floor);
    // The front of the northern walls is what the floor, moved down, leaves of itself.
    ctx.save();
    ctx.translate(0, FACE);
    ctx.clip(this.#floor);
    ctx.fillStyle = colours.floor;
    ctx.fill(this.#floor);
    ctx.translate(0, -FACE);
    ctx.fillStyle = colours.floorMark;
    ctx.fill(this.#worn);
    if (scale >= 7) {
      ctx.strokeStyle = colours.floorLine;
      ctx.lineWidth = hair;
      ctx.stroke(this.#tiles);
    }
    ctx.translate(0, FACE);
    ctx.strokeStyle = colours.faceLow;
    ctx.lineWidth = 0.16;
    ctx.stroke(this.#floor);
    ctx.restore();
    // Walls throw a little shade on the floor beside them.
    ctx.strokeStyle = colours.shade;
    for (const width of [0.9, 0.5, 0.22]) {
      ctx.lineWidth = width;
      ctx.stroke(this.#floor);
    }
    ctx.restore();
    ctx.strokeStyle = colours.edge;
    ctx.lineWidth = Math.max(1.2 * hair, 0.07);
    ctx.stroke(this.#floor);
  }

  /** Lines around the rooms, as on a map, ever fainter. */
  #drawContours(ctx, scale, colours) {
    ctx.lineJoin = "round";
    for (const [far, alpha] of CONTOURS) {
      // A wide line in one colour, and a narrower one of rock upon it, leave two thin ones; the inner is under the floor.
      ctx.strokeStyle = withAlpha(colours.contour, alpha);
      ctx.lineWidth = 2 * far;
      ctx.stroke(this.#floor);
      ctx.strokeStyle = colours.rock;
      ctx.lineWidth = 2 * far - 2 / scale;
      ctx.stroke(this.#floor);
    }
  }

  /** Beyond the edge the ways out end in the dark. */
  #fadeOut(ctx, rock) {
    const [w, h, far] = [this.#w, this.#h, 4 * OUTSIDE];
    const strips = [
      [0, 0, 0, -BEYOND, -far, -far, w + 2 * far, far],
      [0, h, 0, h + BEYOND, -far, h, w + 2 * far, far],
      [0, 0, -BEYOND, 0, -far, -far, far, h + 2 * far],
      [w, 0, w + BEYOND, 0, w, -far, far, h + 2 * far],
    ];
    for (const [u1, v1, u2, v2, left, top, width, height] of strips) {
      const fade = ctx.createLinearGradient(u1, v1, u2, v2);
      fade.addColorStop(0, withAlpha(rock, 0));
      fade.addColorStop(1, withAlpha(rock, 1));
      ctx.fillStyle = fade;
      ctx.fillRect(left, top, width, height);
    }
  }

  /** Joints of tiles, worn tiles, and rubble in the rock near the floor: the same for a chunk each time. */
  #texture(inside) {
    for (let v = -2; v < this.#h + 2; v += 1) {
      for (let u = -2; u < this.#w + 2; u += 1) {
        const dice = noise(u, v);
        if (inside(u, v)) {
          if (inside(u, v - 1)) line(this.#tiles, u, v, u + 1, v);
          if (inside(u - 1, v)) line(this.#tiles, u, v, u, v + 1);
          if (dice < 0.16) this.#worn.rect(u, v, 1, 1);
        } else if (dice < 0.3 && near(inside, u, v)) {
          const size = 0.12 + dice * 0.5;
          this.#rubble.roundRect(u + 0.2 + 0.4 * noise(v, u), v + 0.2 + dice, size * 1.4, size, 0.06);
        }
      }
    }
  }
}

function line(path, u1, v1, u2, v2) {
  path.moveTo(u1, v1);
  path.lineTo(u2, v2);
}

function near(inside, u, v) {
  for (let dv = -MARKED_DEPTH; dv <= MARKED_DEPTH; dv += 1) {
    for (let du = -MARKED_DEPTH; du <= MARKED_DEPTH; du += 1) if (inside(u + du, v + dv)) return true;
  }
  return false;
}

function clamp(n, size) {
  return Math.min(size - 1, Math.max(0, n));
}

/** 0..1, the same each time for a cell. */
function noise(u, v) {
  let n = Math.imul(u + 101, 374761393) ^ Math.imul(v + 57, 668265263);
  n = Math.imul(n ^ (n >>> 13), 1274126177);
  return ((n ^ (n >>> 16)) >>> 0) / 2 ** 32;
}

/** A `#rrggbb` with an alpha. */
export function withAlpha(hex, alpha) {
  const n = Number.parseInt(hex.slice(1), 16);
  return `rgb(${n >> 16} ${(n >> 8) & 255} ${n & 255} / ${alpha})`;
}
