// What part of a chunk is seen. Screen cells: u to the right, v down; so v = h - 1 - y, and north is at the top.

export const ZOOM_MAX = 8;
/** So far out that most of the neighbouring chunks is seen. */
export const ZOOM_MIN = 0.4;
const EASE = 0.18;

export class Camera {
  /** CSS pixels of the stage, and what is left free around a whole chunk. */
  width = 1;
  height = 1;
  margin = { top: 0, right: 0, bottom: 0, left: 0 };
  cells = { w: 50, h: 50 };
  /** Whether there is no room for doors beside the chunk, so that they have a bar of their own. */
  doorsInBar = false;
  /** 1: the whole chunk. */
  zoom = 1;
  /** The middle of the view, in screen cells. */
  u = 25;
  v = 25;
  #wanted = { zoom: 1, u: 25, v: 25 };

  /** Pixels of a cell. */
  get scale() {
    return this.#fit * this.zoom;
  }

  get #fit() {
    const { top, right, bottom, left } = this.margin;
    const room = Math.min((this.width - left - right) / this.cells.w, (this.height - top - bottom) / this.cells.h);
    return Math.max(1, room);
  }

  /** Pixels of the corner of the screen cell (0, 0). */
  get origin() {
    const { left, top, right, bottom } = this.margin;
    const middleX = (this.width + left - right) / 2;
    const middleY = (this.height + top - bottom) / 2;
    return { x: middleX - this.u * this.scale, y: middleY - this.v * this.scale };
  }

  /** Where the chunk is drawn: the same text means the same pixels. */
  get place() {
    const { x, y } = this.origin;
    return `${x} ${y} ${this.scale}`;
  }

  /** The middle of a world's cell, in pixels. */
  at(x, y) {
    const { x: left, y: top } = this.origin;
    return { x: left + (x + 0.5) * this.scale, y: top + (this.cells.h - 0.5 - y) * this.scale };
  }

  /** The world's cell, with fractions, under a pixel. Whole numbers are the middles of cells. */
  under(px, py) {
    const { x: left, y: top } = this.origin;
    return { x: (px - left) / this.scale - 0.5, y: this.cells.h - 0.5 - (py - top) / this.scale };
  }

  /** Show the whole chunk. */
  fit() {
    this.#wanted = { zoom: 1, u: this.cells.w / 2, v: this.cells.h / 2 };
  }

  /** Zoom by a factor, and keep what is under this pixel where it is. */
  zoomBy(factor, px = this.width / 2, py = this.height / 2) {
    const held = this.under(px, py);
    const zoom = snapped(Math.min(ZOOM_MAX, Math.max(ZOOM_MIN, this.#wanted.zoom * factor)));
    const shrink = this.zoom / zoom;
    const u = held.x + 0.5;
    const v = this.cells.h - 0.5 - held.y;
    this.#want(zoom, u + (this.u - u) * shrink, v + (this.v - v) * shrink);
  }

  /** Move the view by pixels, at once. */
  panBy(dx, dy) {
    this.#want(this.#wanted.zoom, this.u - dx / this.scale, this.v - dy / this.scale);
    this.jump();
  }

  /** Bring a world's place to the middle. */
  lookAt(x, y) {
    this.#want(this.#wanted.zoom, x + 0.5, this.cells.h - 0.5 - y);
  }

  /** Whether a part of the chunk is beyond the edge. */
  get isClose() {
    return this.#wanted.zoom > 1.001;
  }

  /** Be where it wants to be. */
  jump() {
    Object.assign(this, this.#wanted);
  }

  /** Go on towards where it wants to be. @returns {boolean} Whether it is still under way. */
  advance(smooth) {
    const wanted = this.#wanted;
    const far = Math.abs(wanted.u - this.u) + Math.abs(wanted.v - this.v) + 10 * Math.abs(Math.log(wanted.zoom / this.zoom));
    if (!smooth || far < 0.01) {
      this.jump();
      return false;
    }
    this.u += (wanted.u - this.u) * EASE;
    this.v += (wanted.v - this.v) * EASE;
    this.zoom *= (wanted.zoom / this.zoom) ** EASE;
    return true;
  }

  /** Never beyond the chunk's edges by more than what the margins hide. */
  #want(zoom, u, v) {
    const scale = this.#fit * zoom;
    const { top, right, bottom, left } = this.margin;
    const halfU = Math.min(this.cells.w, (this.width - left - right) / scale) / 2;
    const halfV = Math.min(this.cells.h, (this.height - top - bottom) / scale) / 2;
    this.#wanted = {
      zoom,
      u: Math.min(this.cells.w - halfU, Math.max(halfU, u)),
      v: Math.min(this.cells.h - halfV, Math.max(halfV, v)),
    };
  }
}

/** The whole chunk is met again when one zooms past it. */
function snapped(zoom) {
  return Math.abs(zoom - 1) < 0.08 ? 1 : zoom;
}
