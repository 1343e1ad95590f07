// The way that an agent has come: a line that fades with age, over what lies on the floor and under who walks there.

/** Farther than this is no step: it left and came back. */
const STEP_MAX_CELLS = 2;
/** From the newest part to the oldest: how strong it is. A part is drawn at once, so that its joints are not seen. */
const STRENGTHS = [0.85, 0.65, 0.48, 0.34, 0.24];
const EDGE_STRENGTH = 0.3;

/**
 * @param {CanvasRenderingContext2D} ctx
 * @param {import("./camera.js").Camera} camera
 * @param {{x: number, y: number, age: number}[]} steps  Oldest first; `age` from 0 (now) to 1.
 * @param {{x: number, y: number} | null} now  Where it is drawn now; null: it is not here.
 * @param {string} fill  Its colour.  @param {string} edge  Of the line around it.
 */
export function drawTrail(ctx, camera, steps, now, fill, edge) {
  const points = now ? [...steps, { x: now.x, y: now.y, age: 0 }] : steps;
  if (points.length < 2) return;
  const width = Math.max(2, Math.min(6, camera.scale * 0.2));
  ctx.lineJoin = "round";
  line(ctx, camera, points, 0, points.length, { alpha: EDGE_STRENGTH, colour: edge, width: width + 2 });
  for (let from = 0; from < points.length - 1; ) {
    const part = partOf(points[from + 1]);
    let to = from + 1;
    while (to < points.length && partOf(points[to]) === part) to += 1;
    line(ctx, camera, points, from, to, { alpha: STRENGTHS[part], colour: fill, width });
    from = to - 1;
  }
  ctx.globalAlpha = 1;
}

function partOf({ age }) {
  return Math.min(STRENGTHS.length - 1, Math.floor(Math.sqrt(age) * STRENGTHS.length));
}

function line(ctx, camera, points, from, to, { alpha, colour, width }) {
  ctx.globalAlpha = alpha;
  ctx.strokeStyle = colour;
  ctx.lineWidth = width;
  ctx.beginPath();
  for (let i = from; i < to; i += 1) {
    const { x, y } = camera.at(points[i].x, points[i].y);
    const before = points[i - 1];
    const stepped = i > from && Math.abs(before.x - points[i].x) + Math.abs(before.y - points[i].y) <= STEP_MAX_CELLS;
    if (stepped) ctx.lineTo(x, y);
    else ctx.moveTo(x, y);
  }
  ctx.stroke();
}
