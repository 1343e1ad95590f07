// What colour a chunk has: that of its shard, or the darker (in the dark: the lighter) the more there is of something.

const GOLDEN_ANGLE = 137.508;
const STEPS = 24;

/** @param {boolean} dark */
export function shardColour(shard, dark) {
  const hue = (250 + shard * GOLDEN_ANGLE) % 360;
  const ring = Math.floor(shard / 8) % 3;
  const light = (dark ? 0.66 : 0.62) + [0, 0.12, -0.12][ring];
  return `oklch(${light} 0.13 ${hue.toFixed(1)})`;
}

/** From nothing to the most, in steps. @param {"load" | "agents"} kind  @returns {string[]} */
export function ramp(kind, dark) {
  const hues = kind === "load" ? [85, 25] : [230, 280];
  return Array.from({ length: STEPS }, (_, step) => {
    const part = step / (STEPS - 1);
    const light = dark ? 0.3 + 0.5 * part : 0.93 - 0.47 * part;
    const chroma = 0.03 + 0.15 * part;
    return `oklch(${light.toFixed(3)} ${chroma.toFixed(3)} ${(hues[0] + (hues[1] - hues[0]) * part).toFixed(1)})`;
  });
}

/** The step of a value; small ones are told apart better than great ones. */
export function stepOf(value, most) {
  return value > 0 && most > 0 ? Math.min(STEPS - 1, 1 + Math.floor(Math.sqrt(value / most) * (STEPS - 1.001))) : 0;
}
