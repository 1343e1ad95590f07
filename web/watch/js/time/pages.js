// Pages of a chunk's past in blocks of ticks that are the same for everybody: so a moment is put together from the same
// state and deltas whoever comes to it, and from wherever. A block that is known needs no request again. Pure but for `ask`.

export const BLOCK_TICKS = 100;
/** Blocks kept; the one unused for longest goes. */
export const BLOCKS_MAX = 24;
/** Answers that make a block: gaps and large chunks cut it. */
const PARTS_MAX = 8;

/**
 * @typedef {object} Part  An answer of `GET /v1/chunks/{id}/history`.
 * @property {number} from_tick  @property {number} to_tick
 * @property {{from_tick: number, to_tick: number, reason: string} | null} gap
 * @property {object | null} chunk_static  @property {object | null} state  Before the first delta.
 * @property {object[]} deltas  @property {number[]} server_ts_ms
 * @property {number | null} closed_tick  @property {number | null} next  @property {boolean} ended
 */

/**
 * @typedef {object} Block
 * @property {Part[]} parts  @property {number} upto  The last tick that they reach.
 * @property {boolean} whole  Whether nothing will be added.
 */

export class PastPages {
  #chunkId;
  #ask;
  /** @type {Map<number, Block>} The one unused for longest first. */
  #blocks = new Map();

  /** @param {string} chunkId  @param {(chunkId: string, from: number, to: number) => Promise<Part>} ask */
  constructor(chunkId, ask) {
    this.#chunkId = chunkId;
    this.#ask = ask;
  }

  /** The block that has a tick, if it is known up to there. @returns {Block | null} */
  known(tick) {
    const number = Math.floor(tick / BLOCK_TICKS);
    const block = this.#blocks.get(number);
    if (!block || (!block.whole && tick > block.upto)) return null;
    this.#keep(number, block);
    return block;
  }

  /** Ask for the block that has a tick. @returns {Promise<Block>}  @throws {import("../../../sdk/index.js").ChunkcrawlError} */
  async read(tick) {
    const number = Math.floor(tick / BLOCK_TICKS);
    const last = (number + 1) * BLOCK_TICKS - 1;
    const parts = [];
    for (let from = number * BLOCK_TICKS; from <= last && parts.length < PARTS_MAX; ) {
      const part = await this.#ask(this.#chunkId, from, last);
      parts.push(part);
      if (part.next === null || part.closed_tick !== null || part.ended) break;
      from = Math.max(part.next, from + 1);
    }
    const { to_tick: upto, closed_tick: closed, gap } = parts.at(-1);
    const comes = parts.some((part) => part.gap?.reason === "not_yet_recorded");
    const block = { parts, upto: Math.max(upto, gap?.to_tick ?? upto), whole: !comes && (closed !== null || upto >= last) };
    if (!comes) this.#keep(number, block);
    return block;
  }

  /** The blocks up to the one that has a tick that follow each other and are known, oldest first; `most` of them. */
  upTo(tick, most) {
    const blocks = [];
    for (let at = tick; blocks.length < most && at >= 0; at = Math.floor(at / BLOCK_TICKS) * BLOCK_TICKS - 1) {
      const block = at === tick ? this.#blocks.get(Math.floor(at / BLOCK_TICKS)) : this.known(at);
      if (!block) break;
      blocks.unshift(block);
    }
    return blocks;
  }

  #keep(number, block) {
    this.#blocks.delete(number);
    this.#blocks.set(number, block);
    for (const first of this.#blocks.keys()) {
      if (this.#blocks.size <= BLOCKS_MAX) return;
      this.#blocks.delete(first);
    }
  }
}

/**
 * What there is to see at a tick of a block.
 * @param {Block} block
 * @returns {{what: "shown", part: Part} | {what: "gap", reason: string} | {what: "absent"} | {what: "closed"}}
 */
export function lookUp(block, tick) {
  const part = block.parts.findLast(({ from_tick: from }) => from <= tick) ?? block.parts[0];
  if (part.gap && tick <= part.gap.to_tick) return { what: "gap", reason: String(part.gap.reason) };
  if (part.closed_tick !== null && tick >= part.closed_tick) return { what: "closed" };
  // A chunk that came later begins with the state in which it came.
  const isThere = part.state && part.chunk_static && part.state.tick <= tick;
  return isThere ? { what: "shown", part } : { what: "absent" };
}

/**
 * The tick of the next change after a tick, or of the one before it, as far as the block knows; else the tick beside the
 * block, for who looks there.
 * @param {1 | -1} way
 */
export function stepFrom(block, tick, way) {
  const first = Math.floor(tick / BLOCK_TICKS) * BLOCK_TICKS;
  const ticks = (block?.parts ?? []).flatMap(({ deltas }) => deltas.map((delta) => delta.tick));
  if (!block) return tick + way;
  if (way > 0) return ticks.find((one) => one > tick) ?? (block.whole ? first + BLOCK_TICKS : tick + 1);
  return ticks.findLast((one) => one < tick) ?? first - 1;
}
