// The outlines of a set of cells as loops of corners, and as a path with rounded ones. Pure but for Path2D.

/**
 * @param {(u: number, v: number) => boolean} inside  Whether a screen cell belongs to the set.
 * @param {{left: number, top: number, right: number, bottom: number}} box  Where to look; right and bottom excluded.
 * @returns {[number, number][][]} Loops, the set on the right-hand side when walked; only true corners.
 */
export function outlines(inside, { left, top, right, bottom }) {
  const edges = new Map();
  const add = (u1, v1, u2, v2) => {
    const key = `${u1},${v1}`;
    const edge = { u1, v1, u2, v2 };
    const same = edges.get(key);
    if (same) same.push(edge);
    else edges.set(key, [edge]);
  };
  for (let v = top; v < bottom; v += 1) {
    for (let u = left; u < right; u += 1) {
      if (!inside(u, v)) continue;
      if (!inside(u, v - 1)) add(u, v, u + 1, v);
      if (!inside(u + 1, v)) add(u + 1, v, u + 1, v + 1);
      if (!inside(u, v + 1)) add(u + 1, v + 1, u, v + 1);
      if (!inside(u - 1, v)) add(u, v + 1, u, v);
    }
  }
  const loops = [];
  while (edges.size > 0) loops.push(walk(edges));
  return loops;
}

function walk(edges) {
  const first = edges.values().next().value[0];
  const corners = [];
  let edge = first;
  let before = null;
  do {
    take(edges, edge);
    if (before === null || turns(before, edge)) corners.push([edge.u1, edge.v1]);
    before = edge;
    edge = following(edges, edge) ?? first;
  } while (edge !== first);
  // The first corner was taken on trust.
  if (!turns(before, first)) corners.shift();
  return corners;
}

function take(edges, edge) {
  const key = `${edge.u1},${edge.v1}`;
  const same = edges.get(key);
  if (same.length === 1) edges.delete(key);
  else same.splice(same.indexOf(edge), 1);
}

/** Where two cells touch at a corner only, the turn to the right keeps them apart. */
function following(edges, { u1, v1, u2, v2 }) {
  const choices = edges.get(`${u2},${v2}`);
  if (!choices) return undefined;
  const [du, dv] = [u2 - u1, v2 - v1];
  return choices.find((next) => du * (next.v2 - next.v1) - dv * (next.u2 - next.u1) > 0) ?? choices[0];
}

function turns(a, b) {
  return a.u2 - a.u1 !== b.u2 - b.u1 || a.v2 - a.v1 !== b.v2 - b.v1;
}

/** @param {number} radius  In cells, at most 0.5. */
export function roundedPath(loops, radius) {
  const path = new Path2D();
  for (const loop of loops) {
    const last = loop.at(-1);
    const first = loop[0];
    path.moveTo((last[0] + first[0]) / 2, (last[1] + first[1]) / 2);
    loop.forEach(([u, v], i) => {
      const next = loop[(i + 1) % loop.length];
      path.arcTo(u, v, (u + next[0]) / 2, (v + next[1]) / 2, radius);
      path.lineTo((u + next[0]) / 2, (v + next[1]) / 2);
    });
    path.closePath();
  }
  return path;
}
