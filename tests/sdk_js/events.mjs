// A small chunk, as a server would tell of it: rows are south first, with a door in the north at x = 1 and in the east
// at y = 2.

export const ROWS = ["####", "#..#", "#...", "#.##"];

export function chunkStatic(chunkId = "chunk-0", more = {}) {
  const resource_nodes = [{ node_id: "n-0", type: "gold", x: 2, y: 0, max_remaining: 9 }];
  const neighbors = { N: null, E: "chunk-1", S: null, W: null };
  return { type: "chunk_static", chunk_id: chunkId, tiles: ROWS, resource_nodes, neighbors, ...more };
}

export function chunkDelta(tick, { x = 1, y = 1, chunkId = "chunk-0", ...more } = {}) {
  const agents = [{ id: "ada", x, y, activity_state: "moving" }];
  return { type: "chunk_delta", chunk_id: chunkId, tick, agents, npcs: [], resources: [], ...more };
}

export function transition(to, tick, more = {}) {
  const cells = { from: { x: 3, y: 2 }, to: { x: 0, y: 2 } };
  return { type: "chunk_transition", agent_id: "ada", from_chunk_id: "chunk-0", to_chunk_id: to, tick, ...cells, ...more };
}
