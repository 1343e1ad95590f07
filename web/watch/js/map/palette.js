// Colours of the map: tokens of the style sheet, so that light and dark are in one place. Those of agents are in
// state/looks.js. No colour stands alone: agents are round and bear a sign, creatures are diamonds, gold has six sides.

const TOKENS = [
  "rock", "rock-mark", "floor", "floor-line", "floor-mark", "edge", "face", "face-low", "shade", "door",
  "outline", "contour", "gold", "gold-ink", "gold-light", "gold-glow", "spent", "npc", "npc-ink", "blocked", "label", "label-halo", "ring", "target",
];

/** The tokens `--map-...` as they are now, `{floor: "#...", ...}`, and the page's `font`. */
export function mapColours() {
  const style = getComputedStyle(document.documentElement);
  const colours = Object.fromEntries(TOKENS.map((name) => [camel(name), style.getPropertyValue(`--map-${name}`).trim()]));
  return { ...colours, font: getComputedStyle(document.body).fontFamily };
}

function camel(name) {
  return name.replace(/-(.)/g, (_, letter) => letter.toUpperCase());
}
