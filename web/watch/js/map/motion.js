// Where things are between two ticks. Every delta says where they are now; they glide there in about the time that the
// next one takes to come.

/** A little more than a tick, so that a late delta does not make anybody stand still for a moment. */
export const GLIDE_MS = 225;
/** Farther than this is no step: they appear there. */
const STEP_MAX_CELLS = 2.5;
export const FADE_MS = 260;

/**
 * @typedef {object} Body
 * @property {object} thing  As the world view has it.
 * @property {number} x  @property {number} y  Where it is drawn, in cells.
 * @property {number} dx  @property {number} dy  Its last step.
 * @property {number} fromX  @property {number} fromY  @property {number} start
 * @property {number} born  @property {number} gone  Times; `gone` is Infinity while it is there.
 */

export class Motion {
  /** @type {Map<string, Body>} */
  bodies = new Map();
  /** Without it everything jumps. */
  smooth = true;
  #busyUntil = 0;

  /**
   * @param {Iterable<object>} things  All there are, with `id`, `x`, `y`.
   * @param {number} now  Milliseconds.
   * @param {boolean} jump  A new place: nothing has moved here from anywhere.
   * @param {object[][]} ways  With a jump: where things were before, oldest first. They stand, and look where they went.
   */
  update(things, now, jump, ways = []) {
    if (jump) this.bodies.clear();
    for (const before of ways) this.#update(before, now, true);
    this.#update(things, now, jump);
    if (ways.length > 0) this.#stand();
  }

  #update(things, now, jump) {
    const seen = new Set();
    for (const thing of things) {
      seen.add(thing.id);
      const body = this.bodies.get(thing.id);
      if (body && body.gone === Infinity) this.#move(body, thing, now);
      else this.bodies.set(thing.id, this.#new(thing, jump ? -Infinity : now));
    }
    for (const [id, body] of this.bodies) {
      if (seen.has(id)) continue;
      if (body.gone === Infinity && this.smooth) {
        body.gone = now;
        this.#busy(now + FADE_MS);
      } else if (!this.smooth || now - body.gone >= FADE_MS) {
        this.bodies.delete(id);
      }
    }
  }

  /** Set every body to where it is at `now`. @returns {boolean} Whether something still moves. */
  advance(now) {
    for (const [id, body] of this.bodies) {
      if (now - body.gone >= FADE_MS) this.bodies.delete(id);
      const part = this.smooth ? Math.min(1, Math.max(0, (now - body.start) / GLIDE_MS)) : 1;
      body.x = body.fromX + (body.thing.x - body.fromX) * part;
      body.y = body.fromY + (body.thing.y - body.fromY) * part;
    }
    return now < this.#busyUntil;
  }

  #stand() {
    for (const [id, body] of this.bodies) {
      if (body.gone !== Infinity) this.bodies.delete(id);
      const { x, y } = body.thing;
      Object.assign(body, { x, y, fromX: x, fromY: y, start: 0, born: -Infinity });
    }
    this.#busyUntil = 0;
  }

  #new(thing, born) {
    if (Number.isFinite(born)) this.#busy(born + FADE_MS);
    const { x, y } = thing;
    return { thing, x, y, dx: 0, dy: 0, fromX: x, fromY: y, start: 0, born, gone: Infinity };
  }

  #move(body, thing, now) {
    const stepped = thing.x !== body.thing.x || thing.y !== body.thing.y;
    if (stepped) {
      body.dx = Math.sign(thing.x - body.thing.x);
      body.dy = Math.sign(thing.y - body.thing.y);
      const far = Math.hypot(thing.x - body.x, thing.y - body.y) > STEP_MAX_CELLS;
      body.fromX = far ? thing.x : body.x;
      body.fromY = far ? thing.y : body.y;
      body.start = now;
      this.#busy(now + GLIDE_MS);
    }
    body.thing = thing;
  }

  #busy(until) {
    this.#busyUntil = Math.max(this.#busyUntil, until);
  }
}

/** How visible a body is at `now`, 0 to 1. */
export function opacity(body, now) {
  const coming = Math.min(1, (now - body.born) / FADE_MS);
  const going = body.gone === Infinity ? 1 : Math.max(0, 1 - (now - body.gone) / FADE_MS);
  return Math.min(coming, going);
}
