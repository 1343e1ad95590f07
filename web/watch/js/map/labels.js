// Names beside agents. Those that would lie on another one are left out; who is chosen or hovered comes first, with the
// whole name. None runs over the chunk's edge, where the doors are, or out of the map.

const LEAST_SCALE = 8;
const EDGE = 4;

/**
 * @param {{text: string, full: string, x: number, y: number, radius: number, first: boolean}[]} wanted  In a stable
 *   order; with no text it is only in the way.
 * @param {import("./camera.js").Camera} camera
 */
export function drawLabels(ctx, wanted, camera, colours) {
  const { scale } = camera;
  const size = Math.max(10.5, Math.min(13, scale * 0.75));
  ctx.font = `600 ${size}px ${colours.font}`;
  ctx.textAlign = "center";
  ctx.textBaseline = "middle";
  ctx.lineJoin = "round";
  ctx.lineWidth = 3.5;
  const room = roomFor(camera);
  // What stands somewhere is in the way of other names, too.
  const taken = wanted.map(({ x, y, radius }) => box(x, y, radius * 0.8, radius * 0.8));
  const named = wanted.filter(({ text }) => text);
  const shown = named.filter(({ first }) => first);
  if (scale >= LEAST_SCALE) shown.push(...named.filter(({ first }) => !first));
  for (const { text, full, x, y, radius, first } of shown) {
    const halfOf = (name) => ctx.measureText(name).width / 2 + 2;
    const name = first && 2 * halfOf(full) <= room.right - room.left ? full : text;
    const half = halfOf(name);
    const middle = Math.max(room.left + half, Math.min(x, room.right - half));
    // Whose token is out of sight has its name there, too.
    const centre = Math.abs(middle - x) > half + radius ? x : middle;
    const places = [y + radius + size * 0.8, y - radius - size * 0.8].map((row) => ({ row, at: box(centre, row, half, size * 0.55) }));
    const place = places.find(({ at }) => !taken.some((other) => overlap(at, other))) ?? (first ? places[0] : null);
    if (!place) continue;
    taken.push(place.at);
    ctx.strokeStyle = colours.labelHalo;
    ctx.strokeText(name, centre, place.row);
    ctx.fillStyle = first ? colours.ring : colours.label;
    ctx.fillText(name, centre, place.row);
  }
}

/** From where to where a name may reach: what is seen of the chunk. */
function roomFor(camera) {
  const left = camera.origin.x;
  const right = left + camera.cells.w * camera.scale;
  return { left: Math.max(EDGE, left), right: Math.min(camera.width - EDGE, right) };
}

function box(x, y, halfWidth, halfHeight) {
  return { left: x - halfWidth, right: x + halfWidth, top: y - halfHeight, bottom: y + halfHeight };
}

function overlap(a, b) {
  return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
}
