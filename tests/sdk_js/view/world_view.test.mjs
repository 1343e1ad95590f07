import assert from "node:assert/strict";
import { test } from "node:test";

import { WorldView } from "../../../sdk-js/src/view/world_view.js";
import { chunkDelta, chunkStatic, transition } from "../events.mjs";

function viewAfter(events, agentId = null) {
  const view = new WorldView(agentId);
  const told = events.map((event) => {
    view.feed(event);
    return view.happened;
  });
  return { view, told };
}

const ready = { type: "session_ready" };
const resync = { type: "resync_required", chunk_id: "chunk-0" };

test("it holds the newest delta and tells each event once", () => {
  const chat = { type: "chat", from: "ada", text: "hi" };
  const used = [{ node_id: "n-0", remaining: 4, state: "available", version: 2 }, { node_id: "unknown" }];
  const newest = chunkDelta(8, { x: 2, events: [chat], resources: used });
  const events = [chunkStatic(), chunkDelta(7), newest, chunkDelta(6), newest, ready, chunkStatic(), newest];
  const { view, told } = viewAfter(events);
  assert.deepEqual([view.chunkId, view.tick, view.ready, view.gold], ["chunk-0", 8, true, 4]);
  assert.deepEqual([...view.agents.values()], [{ id: "ada", x: 2, y: 1, activity: "moving", name: "ada" }]);
  assert.deepEqual(told, [[], [], [chat], [], [], [], [], []]);
});

test("ways out lie where the boundary is floor", () => {
  const { view } = viewAfter([chunkStatic()]);
  assert.deepEqual(view.exits(), { N: [{ x: 1, y: 3 }], E: [{ x: 3, y: 2 }], S: [], W: [] });
});

test("links change while one looks", () => {
  const events = [
    { type: "neighbor_linked", dir: "N", chunk_id: "chunk-5" },
    { type: "neighbor_unlinked", dir: "E", chunk_id: "chunk-1" },
    { type: "neighbor_linked", dir: "__proto__", chunk_id: "chunk-6" },
  ];
  const { view } = viewAfter([chunkStatic(), chunkDelta(1, { events })]);
  assert.deepEqual(view.neighbors, { N: "chunk-5", E: null, S: null, W: null });
  assert.deepEqual(view.lostNeighbors, { E: "chunk-1" });
  assert.deepEqual(viewAfter([chunkStatic(), chunkDelta(1, { events }), chunkStatic()]).view.lostNeighbors, { N: "chunk-5" });
});

test("a world put back from a backup may count lower", () => {
  const { view } = viewAfter([chunkStatic(), chunkDelta(900), resync, chunkStatic(), chunkDelta(30, { x: 2 })]);
  assert.deepEqual([view.tick, view.setBacks, view.agents.get("ada").x], [30, 1, 2]);
});

test("the owner is led along but never back", () => {
  const stale = transition("chunk-7", 3);
  const other = transition("chunk-8", 99, { agent_id: "bob" });
  const begin = [chunkStatic(), chunkDelta(8), transition("chunk-1", 9)];
  const between = viewAfter(begin, "ada").view;
  assert.deepEqual([between.chunkId, between.ready, between.position], ["chunk-1", false, { x: 0, y: 2 }]);
  const arrived = [chunkStatic("chunk-1"), chunkDelta(10, { chunkId: "chunk-1" }), chunkDelta(11, { x: 3 }), stale, other];
  const { view } = viewAfter([...begin, ...arrived], "ada");
  assert.deepEqual([view.chunkId, view.tick, view.position], ["chunk-1", 10, { x: 1, y: 1 }]);
});

test("a closed chunk is empty", () => {
  const { view } = viewAfter([chunkStatic(), chunkDelta(8), { type: "chunk_closed", chunk_id: "chunk-0" }]);
  assert.deepEqual([view.gone, view.agents.size, view.nodes.size, view.gold], [true, 0, 0, 0]);
});

for (const odd of [{ tiles: null }, { tiles: ["##", "#"] }, { grid: [[]] }, { grid: Array(300).fill(Array(300).fill(0)) }]) {
  test(`terrain of no sound shape is none: ${JSON.stringify(odd).slice(0, 30)}`, () => {
    assert.deepEqual(viewAfter([chunkStatic("chunk-0", odd), chunkDelta(1)]).view.grid, []);
  });
}

for (const name of ["__proto__", "constructor", "toString"]) {
  test(`${name} is a name like any other`, () => {
    const resource_nodes = [{ node_id: name, type: "gold", x: 2, y: 0, max_remaining: 9 }];
    const agents = [{ id: name, x: 1, y: 1, activity_state: name }];
    const delta = chunkDelta(1, { agents, resources: [{ node_id: name, remaining: 3, state: "available" }] });
    const { view } = viewAfter([chunkStatic("chunk-0", { resource_nodes }), delta]);
    assert.deepEqual([view.agents.get(name).name, view.gold], [name, 3]);
  });
}

test("what an agent carries is its own", () => {
  const told = (agentId, gold) => ({ type: "agent_private_delta", agent_id: agentId, inventory: { gold } });
  const first = { ...ready, agent_id: "ada", inventory: { gold: 2 } };
  assert.equal(viewAfter([first], "ada").view.inventoryGold, 2);
  assert.equal(viewAfter([first, told("ada", 5), told("bob", 9)], "ada").view.inventoryGold, 5);
  assert.equal(viewAfter([first, told("ada", 5)]).view.inventoryGold, null);
});

test("ways go round others, and gold is taken from beside it", () => {
  const alone = viewAfter([chunkStatic(), chunkDelta(1)], "ada").view;
  assert.equal(alone.distance(3, 2), 3);
  assert.deepEqual(alone.pathTo(2, 2), [{ x: 2, y: 1 }, { x: 2, y: 2 }]);
  assert.deepEqual(alone.nextFree(3, 3), { x: 2, y: 2 });
  assert.deepEqual(alone.nearestGold(), { node: alone.nodes.get("n-0"), cell: { x: 2, y: 1 } });
  assert.equal(alone.pathTo(0, 0), null);
  assert.equal(alone.isFree(2, 1), true);

  const bob = { id: "bob", x: 2, y: 1 };
  const agents = [{ id: "ada", x: 1, y: 1 }, bob];
  const { view } = viewAfter([chunkStatic(), chunkDelta(1, { agents })], "ada");
  assert.equal(view.isFree(2, 1), false);
  assert.equal(view.nearestGold(), null);
  assert.deepEqual([...view.others.keys()], ["bob"]);
  const fenced = viewAfter([chunkStatic(), chunkDelta(1, { agents: [agents[0], { ...bob, x: 1, y: 2 }] })], "ada").view;
  assert.equal(fenced.distance(3, 2), 3);
  assert.equal(viewAfter([chunkStatic()], "ada").view.distance(1, 1), null);
});

test("an empty node is no gold", () => {
  const resources = [{ node_id: "n-0", remaining: 0, state: "regenerating" }];
  assert.equal(viewAfter([chunkStatic(), chunkDelta(1, { resources })], "ada").view.nearestGold(), null);
});
