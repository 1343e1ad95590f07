// Names beside agents. Those that would lie on another one are left out; who is chosen, hovered or speaking comes first.

const NAME_MAX_CHARS = 22;
const LEAST_SCALE = 8;

/**
 * @param {{text: string, x: number, y: number, radius: number, first: boolean}[]} wanted  In a stable order; with no
 *   text it is only in the way.
 */
export function drawLabels(ctx, wanted, scale, colours) {
  const size = Math.max(10.5, Math.min(13, scale * 0.75));
  ctx.font = `600 ${size}px ${colours.font}`;
  ctx.textAlign = "center";
  ctx.textBaseline = "middle";
  ctx.lineJoin = "round";
  ctx.lineWidth = 3.5;
  // What stands somewhere is in the way of other names, too.
  const taken = wanted.map(({ x, y, radius }) => box(x, y, radius * 0.8, radius * 0.8));
  const named = wanted.filter(({ text }) => text);
  const shown = named.filter(({ first }) => first);
  if (scale >= LEAST_SCALE) shown.push(...named.filter(({ first }) => !first));
  for (const { text, x, y, radius, first } of shown) {
    const name = shortened(text);
    const half = ctx.measureText(name).width / 2 + 2;
    const places = [y + radius + size * 0.8, y - radius - size * 0.8].map((middle) => ({ middle, at: box(x, middle, half, size * 0.55) }));
    const place = places.find(({ at }) => !taken.some((other) => overlap(at, other))) ?? (first ? places[0] : null);
    if (!place) continue;
    taken.push(place.at);
    ctx.strokeStyle = colours.labelHalo;
    ctx.strokeText(name, x, place.middle);
    ctx.fillStyle = first ? colours.ring : colours.label;
    ctx.fillText(name, x, place.middle);
  }
}

function shortened(text) {
  const letters = Array.from(text);
  return letters.length > NAME_MAX_CHARS ? `${letters.slice(0, 12).join("")}…${letters.slice(-8).join("")}` : text;
}

function box(x, y, halfWidth, halfHeight) {
  return { left: x - halfWidth, right: x + halfWidth, top: y - halfHeight, bottom: y + halfHeight };
}

function overlap(a, b) {
  return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
}
