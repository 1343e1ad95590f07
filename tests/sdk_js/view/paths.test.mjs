import assert from "node:assert/strict";
import { test } from "node:test";

import { cellKey, distances, exitCells, isBoundary, isFloor, path } from "../../../sdk-js/src/view/paths.js";

// A corridor along the south with doors at both ends, and a room above it.
const GRID = ["#####", "......".slice(0, 5), "#...#", "#####"].map((row) => [...row].map((tile) => Number(tile === "#")));
const at = (x, y) => ({ x, y });

test("a boundary cell is reached but not passed through", () => {
  const reach = distances(GRID, at(2, 1));
  assert.equal(reach.steps(0, 1), 2);
  assert.equal(reach.steps(4, 1), 2);
  assert.equal(reach.has(2, 3), false);
  const ring = ["...", ".#.", "..."].map((row) => [...row].map((tile) => Number(tile === "#")));
  assert.deepEqual(distances(ring, at(0, 0)).cells.length, 3, "from the boundary only to what lies beside it");
});

test("cells come in the order of distance, then N, E, S, W", () => {
  const cells = distances(GRID, at(2, 1)).cells.map(({ x, y, steps }) => [x, y, steps]);
  assert.deepEqual(cells.slice(0, 5), [[2, 1, 0], [2, 2, 1], [3, 1, 1], [1, 1, 1], [3, 2, 2]]);
});

test("a way leads round what is taken, or there is none", () => {
  const taken = new Set([cellKey(2, 1)]);
  assert.deepEqual(path(GRID, at(1, 1), at(3, 1), taken), [at(1, 2), at(2, 2), at(3, 2), at(3, 1)]);
  assert.deepEqual(path(GRID, at(1, 1), at(1, 1)), []);
  taken.add(cellKey(2, 2));
  assert.equal(path(GRID, at(1, 1), at(3, 1), taken), null);
});

test("outside is neither floor nor a way out", () => {
  for (const [x, y] of [[-1, 1], [5, 1], [1, -1], [1, 4], [0.5, 1]]) assert.equal(isFloor(GRID, x, y), false);
  assert.equal(isBoundary(GRID, 0, 1), true);
  assert.equal(isBoundary(GRID, 1, 2), false);
  assert.deepEqual(exitCells(GRID), { N: [], E: [at(4, 1)], S: [], W: [at(0, 1)] });
  assert.deepEqual(exitCells([]), { N: [], E: [], S: [], W: [] });
});
