// Ways through a chunk, as the server plans them: 4-connected, floor only, boundary cells only as the target.
//
// Pure functions over `grid[y][x]` (0 floor, 1 wall) and a set of taken cells. Stepping onto a boundary cell leaves the
// chunk on that side, so a path may end there but not lead through it; it may start there, since arrivals do.

/** N, E, S, W. */
export const STEPS = Object.freeze([
  [0, 1],
  [1, 0],
  [0, -1],
  [-1, 0],
]);

export const SIDES = Object.freeze(["N", "E", "S", "W"]);

/** A cell as a number, for sets and maps. Sides of a chunk are at most 256 cells. */
export function cellKey(x, y) {
  return (y << 8) | x;
}

/** Whether the cell lies in the chunk and is floor. */
export function isFloor(grid, x, y) {
  return grid[y]?.[x] === 0;
}

/** Whether stepping onto the cell leaves the chunk. */
export function isBoundary(grid, x, y) {
  return x === 0 || x === grid[0].length - 1 || y === 0 || y === grid.length - 1;
}

/** Steps between two cells if nothing were in the way. */
export function manhattan(a, b) {
  return Math.abs(a.x - b.x) + Math.abs(a.y - b.y);
}

/** Cells and how many steps away each is; in the order of distance, then N, E, S, W of discovery. */
export class Reach {
  #steps = new Map();

  /** The cells, `{x, y, steps}`, nearest first. @type {{x: number, y: number, steps: number}[]} */
  cells = [];

  add(x, y, steps) {
    this.#steps.set(cellKey(x, y), steps);
    this.cells.push({ x, y, steps });
  }

  /** Steps to a cell, null when there is no way. */
  steps(x, y) {
    return this.#steps.get(cellKey(x, y)) ?? null;
  }

  has(x, y) {
    return this.#steps.has(cellKey(x, y));
  }
}

/**
 * Steps to every cell that a move from `start` can reach; `start` itself is 0, and counts as free.
 *
 * @param {number[][]} grid
 * @param {{x: number, y: number}} start
 * @param {Set<number>} taken  Cells that are occupied, by `cellKey`.
 * @returns {Reach}
 */
export function distances(grid, start, taken = new Set()) {
  const found = new Reach();
  found.add(start.x, start.y, 0);
  for (let next = 0; next < found.cells.length; next += 1) {
    const here = found.cells[next];
    if (next > 0 && isBoundary(grid, here.x, here.y)) continue;
    for (const [dx, dy] of STEPS) {
      const [x, y] = [here.x + dx, here.y + dy];
      if (!found.has(x, y) && isFloor(grid, x, y) && !taken.has(cellKey(x, y))) found.add(x, y, here.steps + 1);
    }
  }
  return found;
}

/** The cells after `start` up to `goal`; empty when already there, null when there is no way. */
export function path(grid, start, goal, taken = new Set()) {
  const reach = distances(grid, start, taken);
  if (!reach.has(goal.x, goal.y)) return null;
  const way = [];
  let here = { x: goal.x, y: goal.y };
  const isStart = ({ x, y }) => x === start.x && y === start.y;
  while (!isStart(here)) {
    way.push(here);
    const before = reach.steps(here.x, here.y) - 1;
    // A boundary cell is never passed through, so it is no predecessor, however near.
    here = STEPS.map(([dx, dy]) => ({ x: here.x + dx, y: here.y + dy })).find(
      (cell) => reach.steps(cell.x, cell.y) === before && (isStart(cell) || !isBoundary(grid, cell.x, cell.y)),
    );
  }
  return way.reverse();
}

/** The floor cells of each side: where one leaves the chunk, `{N: [{x, y}, ...], E, S, W}`. */
export function exitCells(grid) {
  const [height, width] = [grid.length, grid[0]?.length ?? 0];
  const row = (y) => Array.from({ length: width }, (_, x) => ({ x, y }));
  const column = (x) => Array.from({ length: height }, (_, y) => ({ x, y }));
  const open = (cells) => cells.filter(({ x, y }) => isFloor(grid, x, y));
  return { N: open(row(height - 1)), E: open(column(width - 1)), S: open(row(0)), W: open(column(0)) };
}
