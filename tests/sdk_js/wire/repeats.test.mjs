import assert from "node:assert/strict";
import { test } from "node:test";

import { Repeats, SEEN_MAX } from "../../../sdk-js/src/wire/repeats.js";

const delta = (tick, chunkId = "chunk-0") => ({ type: "chunk_delta", chunk_id: chunkId, tick, event_id: "" });
const result = (id) => ({ type: "command_result", event_id: id });
const opening = { type: "chunk_static", event_id: "" };
const resync = { type: "resync_required", event_id: "" };
const told = (...events) => {
  const repeats = new Repeats();
  return events.map((event) => !repeats.isRepeat(event));
};

test("agent-scoped events are told once, openings and the state after them always", () => {
  assert.deepEqual(told(result("1"), result("2"), result("1"), result(""), result("")), [true, true, false, true, true]);
  const deltas = told(opening, delta(5), delta(6), delta(5), delta(6, "chunk-1"), opening, delta(6), delta(6));
  assert.deepEqual(deltas, [true, true, true, false, true, true, true, false]);
});

test("where history was lost its numbers come again", () => {
  assert.deepEqual(told(result("1"), resync, result("1")), [true, true, true]);
  assert.deepEqual(told(opening, delta(9), resync, delta(3), delta(4), delta(9)), [true, true, true, true, true, true]);
});

test("what is remembered has a bound", () => {
  const repeats = new Repeats();
  for (let id = 0; id <= SEEN_MAX; id += 1) assert.equal(repeats.isRepeat(result(`e-${id}`)), false);
  assert.equal(repeats.isRepeat(result("e-0")), false);
  assert.equal(repeats.isRepeat(result(`e-${SEEN_MAX}`)), true);
});
