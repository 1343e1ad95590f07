// The way that an agent has come: a line that fades with age, over what lies on the floor and under who walks there.

/** Farther than this is no step: it left and came back. */
const STEP_MAX_CELLS = 2;
const FAINTEST = 0.16;

/**
 * @param {CanvasRenderingContext2D} ctx
 * @param {import("./camera.js").Camera} camera
 * @param {{x: number, y: number, age: number}[]} steps  Oldest first.
 * @param {{x: number, y: number} | null} now  Where it is drawn now; null: it is not here.
 * @param {string} fill  Its colour.  @param {string} edge  Of the line around it.
 */
export function drawTrail(ctx, camera, steps, now, fill, edge) {
  const points = now ? [...steps, { ...now, age: 0 }] : steps;
  ctx.lineCap = ctx.lineJoin = "round";
  const width = Math.max(2, Math.min(7, camera.scale * 0.26));
  for (const [colour, wide] of [[edge, width + 2], [fill, width]]) {
    ctx.strokeStyle = colour;
    ctx.lineWidth = wide;
    for (let i = 1; i < points.length; i += 1) {
      const [from, to] = [points[i - 1], points[i]];
      if (Math.abs(from.x - to.x) + Math.abs(from.y - to.y) > STEP_MAX_CELLS) continue;
      ctx.globalAlpha = FAINTEST + (0.75 - FAINTEST) * (1 - to.age) ** 2;
      const [a, b] = [camera.at(from.x, from.y), camera.at(to.x, to.y)];
      ctx.beginPath();
      ctx.moveTo(a.x, a.y);
      ctx.lineTo(b.x, b.y);
      ctx.stroke();
    }
  }
  ctx.globalAlpha = 1;
  ctx.lineCap = "butt";
}
