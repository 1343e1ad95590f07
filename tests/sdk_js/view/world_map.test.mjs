import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { WorldMap } from "../../../sdk-js/src/view/world_map.js";
import { WorldView } from "../../../sdk-js/src/view/world_view.js";
import { chunkDelta, chunkStatic } from "../events.mjs";

const NONE = { N: null, E: null, S: null, W: null };

/** Take in what somebody sees in a chunk with these neighbours. */
function seen(map, chunkId, neighbors, more = {}, nowMs = 1) {
  const view = new WorldView("ada");
  view.feed(chunkStatic(chunkId, { neighbors: { ...NONE, ...neighbors }, ...more }));
  view.feed(chunkDelta(5, { chunkId }));
  map.note(view, nowMs);
  return view;
}

test("what was seen is known: terrain, doors, gold, when", () => {
  const map = new WorldMap();
  seen(map, "chunk-0", { E: "chunk-1" }, {}, 77);
  const here = map.chunks.get("chunk-0");
  assert.deepEqual([here.entered, here.exits, here.gold, here.seenMs, here.tick], [true, ["N", "E"], 9, 77, 5]);
  const there = map.chunks.get("chunk-1");
  assert.deepEqual([there.entered, there.neighbors.W], [false, "chunk-0"]);
});

test("ways lead through what is known, by the fewest doors", () => {
  const map = new WorldMap();
  seen(map, "chunk-0", { N: "chunk-2", E: "chunk-1" });
  seen(map, "chunk-2", { S: "chunk-0", E: "chunk-3" });
  assert.deepEqual(map.route("chunk-0", "chunk-3"), ["N", "E"]);
  assert.deepEqual(map.route("chunk-0", "chunk-0"), []);
  assert.equal(map.route("chunk-0", "chunk-9"), null);
  assert.equal(map.route("chunk-9", "chunk-0"), null);
  assert.deepEqual([...map.unknownDoors("chunk-0")], [
    { way: [], side: "E" },
    { way: ["N"], side: "N" },
    { way: ["N"], side: "E" },
  ]);
  assert.deepEqual([...map.goldChunks("chunk-0")].map(({ chunk, way }) => [chunk.chunkId, way]), [
    ["chunk-0", []],
    ["chunk-2", ["N"]],
  ]);
});

test("a chunk that was collected is gone, and its doors lead into the unknown", () => {
  const map = new WorldMap();
  const view = seen(map, "chunk-0", { E: "chunk-1" });
  view.feed(chunkDelta(6, { events: [{ type: "neighbor_unlinked", dir: "E" }] }));
  map.note(view, 2);
  assert.deepEqual([map.chunks.get("chunk-1").gone, map.chunks.get("chunk-0").neighbors.E], [true, null]);
  assert.equal(map.route("chunk-0", "chunk-1"), null);
  seen(map, "chunk-0", { E: "chunk-4" });
  assert.deepEqual(map.route("chunk-0", "chunk-4"), ["E"]);
});

test("another world under the same names is begun anew", () => {
  const map = new WorldMap();
  seen(map, "chunk-0", { E: "chunk-1" });
  seen(map, "chunk-1", {});
  seen(map, "chunk-0", {}, { tiles: ["####", "#..#", "#..#", "####"] });
  assert.deepEqual([...map.chunks.keys()], ["chunk-0"]);
});

test("beyond its bound those seen longest ago are forgotten", () => {
  const map = new WorldMap({ chunksMax: 3 });
  for (const number of [1, 2, 3, 1, 4]) seen(map, `chunk-${number}`, {});
  assert.deepEqual([...map.chunks.keys()], ["chunk-3", "chunk-1", "chunk-4"]);
});

test("it outlives its program, and is the file that the Python SDK writes", () => {
  const map = new WorldMap();
  seen(map, "chunk-0", { E: "chunk-1" }, {}, 77);
  const again = WorldMap.from(JSON.parse(JSON.stringify(map)));
  assert.deepEqual(JSON.stringify(again), JSON.stringify(map));
  assert.deepEqual(again.route("chunk-0", "chunk-1"), ["E"]);
  for (const odd of [null, {}, { version: 2, chunks: [] }, { version: 1 }]) assert.throws(() => WorldMap.from(odd), TypeError);
  const python = readFileSync(new URL("../../../sdk/chunkcrawl/view/world_map.py", import.meta.url), "utf8");
  assert.match(python, /^VERSION: Final = 1$/m);
  const fields = [...python.match(/class KnownChunk[\s\S]*?@property/)[0].matchAll(/^    (\w+): (?:str|list|dict|int|bool)/gm)].map(([, name]) => name);
  assert.deepEqual(Object.keys(JSON.parse(JSON.stringify(map)).chunks[0]), fields);
});
