// Ticks, the clock, and where they are on the time line. Pure.

/** How much of the past the line shows, in minutes; Infinity: all that is kept. */
export const SPANS = [10, 60, Infinity];
export const SPEEDS = [0.5, 1, 2, 4, 8, 16, 32];

/** When ticks were: between points that are known as far along as between their times, beyond them at the world's pace. */
export class Scale {
  #points;
  #hz;

  /** @param {[number, number][]} points  Ticks and Unix times (ms), both rising.  @param {number} hz */
  constructor(points, hz) {
    this.#points = points;
    this.#hz = hz > 0 ? hz : 5;
  }

  /** Unix time (ms) of a tick; null: not known. */
  msOf(tick) {
    return this.#along(tick, 0, 1, 1000 / this.#hz);
  }

  /** The tick at a Unix time (ms); null: not known. */
  tickAt(ms) {
    const tick = this.#along(ms, 1, 0, this.#hz / 1000);
    return tick === null ? null : Math.round(tick);
  }

  #along(value, from, to, pace) {
    const points = this.#points;
    if (points.length === 0) return null;
    const after = points.findIndex((point) => point[from] >= value);
    if (after === 0 || after < 0) {
      const end = points.at(after);
      return end[to] + (value - end[from]) * pace;
    }
    const [low, high] = [points[after - 1], points[after]];
    return low[to] + ((high[to] - low[to]) * (value - low[from])) / Math.max(1, high[from] - low[from]);
  }
}

/**
 * The part of the past that the line shows. It ends with the present, unless `at` lies before: then that is in its middle.
 * @param {{oldest: number, live: number, at: number, ticks: number}} of  `ticks`: its length, Infinity: all.
 * @param {{from: number, to: number} | null} before  What was shown; it stays while `at` is well within.
 * @returns {{from: number, to: number}}
 */
export function windowOf({ oldest, live, at, ticks }, before = null) {
  const length = Math.min(ticks, Math.max(1, live - oldest));
  const end = { from: live - length, to: live };
  if (at >= end.from) return end;
  const kept = before && before.to - before.from === length && at >= before.from && at <= before.to && before.from >= oldest;
  if (kept) return before;
  const from = Math.max(oldest, Math.min(live - length, Math.round(at - length / 2)));
  return { from, to: from + length };
}

/** How long ago, roughly. */
export function agoText(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} s ago`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ago`;
  const hours = Math.floor(minutes / 60);
  const rest = minutes % 60;
  if (hours < 24) return rest && hours < 10 ? `${hours} h ${rest} min ago` : `${hours} h ago`;
  const days = Math.floor(hours / 24);
  return hours % 24 ? `${days} d ${hours % 24} h ago` : `${days} d ago`;
}

/** Marks by lane: what a kind is drawn as. A Map: kinds are a server's text. */
export const LANES = new Map([
  ["chat", "chat"],
  ["crossing", "crossing"],
  ["harvest", "harvest"],
  ["join", "coming"],
  ["leave", "coming"],
]);

const NAMES = new Map([
  ["chat", ["message", "messages"]],
  ["crossing", ["crossing", "crossings"]],
  ["harvest", ["harvest", "harvests"]],
  ["join", ["came into the world", "came into the world"]],
  ["leave", ["left the world", "left the world"]],
]);

/** What happened near a tick, in words; "" if nothing did. @param {{tick: number, kind: string, count: number}[]} marks */
export function marksText(marks, tick, reach) {
  const sums = new Map();
  for (const mark of marks) {
    if (NAMES.has(mark.kind) && Math.abs(mark.tick - tick) <= reach) sums.set(mark.kind, (sums.get(mark.kind) ?? 0) + mark.count);
  }
  return [...NAMES].filter(([kind]) => sums.has(kind)).map(([kind, [one, more]]) => `${sums.get(kind)} ${sums.get(kind) === 1 ? one : more}`).join(", ");
}
