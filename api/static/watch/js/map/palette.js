// Colours of the map. Those of things are tokens of the style sheet, so that light and dark are in one place; those of
// agents are Okabe and Ito's, which people with any kind of colour blindness can tell apart. Yellow and orange are left
// out, they are gold's. No colour stands alone: agents are round and bear a letter, creatures are diamonds, gold has six
// sides.

const AGENT_COLOURS = [
  { fill: "#56b4e9", ink: "#06202e" },
  { fill: "#009e73", ink: "#00150f" },
  { fill: "#d55e00", ink: "#1a0800" },
  { fill: "#cc79a7", ink: "#2c0a1c" },
  { fill: "#0072b2", ink: "#ffffff" },
  { fill: "#7fd1c0", ink: "#06281f" },
  { fill: "#b8a1e3", ink: "#1d0f38" },
];

const TOKENS = [
  "rock", "rock-mark", "floor", "floor-line", "floor-mark", "edge", "face", "face-low", "shade", "door",
  "outline", "contour", "gold", "gold-ink", "gold-light", "gold-glow", "spent", "npc", "npc-ink", "blocked", "label", "label-halo", "ring", "target",
];

/** An agent's colours, the same on every page: by its id alone. */
export function agentColours(id) {
  let hash = 0x811c9dc5;
  for (let i = 0; i < id.length; i += 1) hash = Math.imul(hash ^ id.charCodeAt(i), 0x01000193);
  // The last bits of FNV are weak; mix once more.
  hash ^= hash >>> 15;
  return AGENT_COLOURS[(Math.imul(hash, 0x2c1b3c6d) >>> 8) % AGENT_COLOURS.length];
}

/** The sign on an agent's token: the number it ends with, up to two digits, or the first letter of its last word. */
export function agentSign(name) {
  const number = /(\d{1,2})$/.exec(name);
  if (number) return number[1];
  const words = name.split(/[^\p{L}\p{N}]+/u).filter(Boolean);
  return (Array.from(words.at(-1) ?? "?")[0] ?? "?").toUpperCase();
}

/** The tokens `--map-...` as they are now, `{floor: "#...", ...}`, and the page's `font`. */
export function mapColours() {
  const style = getComputedStyle(document.documentElement);
  const colours = Object.fromEntries(TOKENS.map((name) => [camel(name), style.getPropertyValue(`--map-${name}`).trim()]));
  return { ...colours, font: getComputedStyle(document.body).fontFamily };
}

function camel(name) {
  return name.replace(/-(.)/g, (_, letter) => letter.toUpperCase());
}
