import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";

import { AgentClosed, Blocked, CommandDropped, RanDry, Unreachable } from "../../../sdk-js/src/errors.js";
import { Journey } from "../../../sdk-js/src/journeys/journey.js";
import { pass } from "../streams.mjs";
import { SmallWorld } from "./small_world.mjs";

beforeEach(() => mock.timers.enable({ apis: ["setTimeout"] }));
afterEach(() => mock.timers.reset());

const HOW = { timeoutMs: 300_000 };

/** What a promise came to once so much time has passed. */
async function after(ms, promise, stepMs = 50) {
  let end = null;
  promise.then((value) => (end = { value }), (error) => (end = { error }));
  for (let gone = 0; gone < ms && end === null; gone += stepMs) await pass(stepMs, stepMs);
  assert.notEqual(end, null, "it is not over");
  if (end.error) throw end.error;
  return end.value;
}

const journey = (world) => new Journey(world, () => 0);

test("it goes over chunks to a cell, and home again", async () => {
  const world = new SmallWorld(3);
  await after(1_000, journey(world).explore(2, HOW));
  const home = await after(1_000, journey(world).goTo("chunk-0", 2, 2, HOW));
  assert.equal(String(home), "arrived at chunk-0:2,2");
  assert.deepEqual([home.ok, home.reason, home.chunkId, home.x, home.y], [true, "arrived", "chunk-0", 2, 2]);
});

test("it explores by the nearest doors that nobody passed, and says what it found", async () => {
  const world = new SmallWorld(4);
  const outcome = await after(1_000, journey(world).explore(2, HOW));
  assert.deepEqual([outcome.ok, outcome.found], [true, ["chunk-1", "chunk-2"]]);
  assert.match(String(outcome), /^found chunk-1, chunk-2, now at chunk-2:0,2$/);
});

for (const [why, chunk, x, y] of [
  ["unknown_chunk", "chunk-9", 2, 2],
  ["wall", "chunk-0", 0, 0],
  ["wall", "chunk-0", 99, 2],
  ["boundary", "chunk-0", 0, 2],
]) {
  test(`there is no way: ${why} (${x},${y})`, async () => {
    const outcome = await after(1_000, journey(new SmallWorld(1)).goTo(chunk, x, y, HOW));
    assert.deepEqual([outcome.ok, outcome.reason, outcome.why], [false, "no_way", why]);
    assert.match(String(outcome), /^no way: .+; now at chunk-0:2,2$/);
  });
}

test("a chunk that was collected is known as gone", async () => {
  const world = new SmallWorld(2);
  world.map.markGone("chunk-1");
  assert.equal((await after(1_000, journey(world).goTo("chunk-1", 2, 2, HOW))).why, "chunk_gone");
});

test("what is in the way is tried again, but not for ever", async () => {
  const world = new SmallWorld(1);
  world.hindrances.push(new Blocked("blocked"), new Unreachable("unreachable"), new CommandDropped());
  assert.equal((await after(5_000, journey(world).goTo("chunk-0", 1, 1, HOW))).ok, true);
  world.hindrances.push(...Array(50).fill(new Blocked("blocked")));
  assert.equal((await after(60_000, journey(world).goTo("chunk-0", 3, 3, HOW))).why, "crowded");
});

test("a cell that somebody stands on is waited for", async () => {
  const world = new SmallWorld(1, [[{ id: "bob", x: 1, y: 1 }]]);
  assert.equal((await after(60_000, journey(world).goTo("chunk-0", 1, 1, HOW))).why, "crowded");
  assert.deepEqual(world.walks, []);
});

test("gold is taken node after node, over chunks, and no more than is wanted", async () => {
  const world = new SmallWorld(3);
  const one = await after(1_000, journey(world).harvest(null, HOW), 1);
  assert.deepEqual([one.ok, one.reason, one.amount], [true, "harvested", 3]);
  const more = await after(5_000, journey(world).harvest(4, { ...HOW, explore: true }), 1);
  assert.deepEqual([more.ok, more.amount, more.chunkId], [true, 4, "chunk-2"]);
  assert.match(String(more), /^took 4 gold, now at chunk-2:/);
});

test("where there is no gold it says so, with what was taken", async () => {
  const outcome = await after(5_000, journey(new SmallWorld(1)).harvest(10, HOW), 1);
  assert.deepEqual([outcome.ok, outcome.reason, outcome.amount], [false, "no_gold", 3]);
  assert.match(String(outcome), /^no gold within reach, took 3 before/);
});

test("gold that somebody else took is no end", async () => {
  const world = new SmallWorld(2);
  world.hindrances.push(new Blocked("blocked"));
  assert.equal((await after(5_000, journey(world).harvest(5, { ...HOW, explore: true }), 1)).amount, 5);
});

test("where somebody else took the last of it, it looks elsewhere", async () => {
  const world = new SmallWorld(2);
  const harvest = world.harvest.bind(world);
  let first = true;
  world.harvest = (node, how) => {
    if (!first) return harvest(node, how);
    first = false;
    world.empty();
    return Promise.reject(new RanDry("depleted"));
  };
  const outcome = await after(5_000, journey(world).harvest(2, { ...HOW, explore: true }), 1);
  assert.deepEqual([outcome.ok, outcome.chunkId, outcome.amount], [true, "chunk-1", 2]);
});

test("when its time is up it tells how far it came", async () => {
  const world = new SmallWorld(2);
  world.hindrances.push(...Array(50).fill(new Blocked("blocked")));
  const outcome = await after(5_000, journey(world).explore(5, { timeoutMs: 1_000 }));
  assert.deepEqual([outcome.ok, outcome.reason, outcome.found, outcome.amount], [false, "timed_out", [], 0]);
  assert.match(String(outcome), /^the time was up at chunk-0:2,2$/);
});

test("one that is aborted throws why", async () => {
  const world = new SmallWorld(2);
  world.hindrances.push(...Array(50).fill(new Blocked("blocked")));
  const stop = new AbortController();
  const going = journey(world).explore(1, { ...HOW, signal: stop.signal });
  stop.abort(new Error("enough"));
  await assert.rejects(after(1_000, going), /enough/);
});

test("the end of the agent is thrown, not told as an outcome", async () => {
  const world = new SmallWorld(2);
  world.hindrances.push(new AgentClosed());
  await assert.rejects(after(1_000, journey(world).explore(1, HOW)), AgentClosed);
});

test("it follows somebody, through doors too, until the time is up", async () => {
  const guide = (x, y) => [{ id: "guide", x, y }];
  const world = new SmallWorld(2, [guide(3, 1)]);
  const end = journey(world).follow("guide", 1, { timeoutMs: 5_000 });
  await pass(500, 50);
  const { position } = world.view;
  assert.ok(Math.abs(position.x - 3) + Math.abs(position.y - 1) <= 1);
  world.meet([[], guide(2, 2)]);
  const outcome = await after(10_000, end);
  assert.deepEqual([outcome.ok, outcome.reason, outcome.agentId, outcome.chunkId], [true, "still_following", "guide", "chunk-1"]);
  assert.match(String(outcome), /^followed guide up to chunk-1:/);
});

test("who vanishes away from the doors is lost, and so is who was never there", async () => {
  const world = new SmallWorld(1, [[{ id: "guide", x: 2, y: 1 }]]);
  const never = await after(1_000, journey(new SmallWorld(1)).follow("guide", 2, HOW));
  assert.deepEqual([never.ok, never.reason], [false, "lost"]);
  assert.match(String(never), /^lost sight of guide, now at chunk-0:2,2$/);
  const end = journey(world).follow("guide", 1, HOW);
  await pass(200, 50);
  world.meet([[]]);
  assert.equal((await after(5_000, end)).reason, "lost");
});
