import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";

import { Session } from "../../sdk-js/src/transport/session.js";
import { Watcher } from "../../sdk-js/src/watcher.js";
import { chunkDelta, chunkStatic } from "./events.mjs";
import { answering, pass, sse } from "./streams.mjs";

beforeEach(() => mock.timers.enable({ apis: ["setTimeout"] }));
afterEach(() => {
  mock.timers.reset();
  mock.restoreAll();
});

const session = new Session({ token: "sess_1" });
const text = (...events) => events.map((event) => sse(event.type, event, event.tick ? `chunk-0:${event.tick}:0` : "")).join("");
const closed = { type: "chunk_closed", chunk_id: "chunk-0" };

function watching(options = {}, make = (more) => Watcher.chunk("http://world.test/game", "chunk-0", more)) {
  const watcher = make({ session, random: () => 0, ...options });
  const told = { events: [], error: null };
  const read = async () => {
    for await (const event of watcher.events()) told.events.push([event.type, watcher.view.tick]);
  };
  read().catch((error) => (told.error = error));
  return { watcher, told };
}

test("the view is fed before each event, and each comes once over lost lines", async () => {
  const first = text({ type: "session_ready" }, chunkStatic(), chunkDelta(5), chunkDelta(6));
  const second = text({ type: "session_ready" }, chunkDelta(6), chunkDelta(6), chunkDelta(7));
  const { asked } = answering({ text: first, ends: true }, { text: second });
  const { watcher, told } = watching();
  await pass(1_000);
  const ticks = told.events.filter(([type]) => type === "chunk_delta").map(([, tick]) => tick);
  assert.deepEqual(ticks, [5, 6, 6, 7]);
  assert.equal(asked[0][0], "/game/v1/spectate/stream?chunk_id=chunk-0");
  assert.equal(asked[1][1]["last-event-id"], "chunk-0:6:0");
  assert.deepEqual([watcher.connected, watcher.connections, watcher.lastEventId], [true, 2, "chunk-0:7:0"]);
});

test("a chunk that is removed ends it, and says so", async () => {
  answering({ text: text(chunkStatic(), chunkDelta(5), closed, chunkDelta(6)) });
  const { watcher, told } = watching();
  await pass(60_000, 1_000);
  assert.deepEqual([told.error.reason, told.error.chunkId, watcher.view.gone], ["chunk_gone", "chunk-0", true]);
  assert.deepEqual(told.events.at(-1), ["chunk_closed", 5]);
  assert.equal(watcher.connected, false);
});

test("so does one that was removed while the line was lost; one that never was is not found", async () => {
  const missing = { status: 404, text: '{"detail":"chunk_not_found"}', ends: true };
  answering({ text: text(chunkStatic(), chunkDelta(5)), ends: true }, missing);
  const gone = watching();
  await pass(1_000);
  assert.equal(gone.told.error.reason, "chunk_gone");
  answering(missing);
  const never = watching();
  await pass(1_000);
  assert.equal(never.told.error.reason, "chunk_not_found");
});

test("what is no message is passed over, and an event without end is no stream", async () => {
  const odd = `data: nonsense\n\n${sse("chunk_delta", { tick: "x" })}`;
  answering({ text: odd + text(chunkStatic(), chunkDelta(1)) });
  const { watcher, told } = watching();
  await pass(1_000);
  assert.deepEqual([told.events.length, watcher.unusableEvents, watcher.view.tick], [2, 2, 1]);
  answering({ text: `data: ${"x".repeat(5 << 20)}` });
  const endless = watching();
  await pass(1_000);
  assert.equal(endless.told.error.reason, "protocol_violation");
});

test("an owner follows an agent, and outlives its chunks", async () => {
  const { asked } = answering({ text: text(chunkStatic(), chunkDelta(5), closed, chunkDelta(6)) });
  const { told } = watching({}, (more) => Watcher.owner("http://world.test", "ada b", more));
  await pass(1_000);
  assert.equal(asked[0][0], "/v1/owner/stream?agent_id=ada%20b");
  assert.equal(told.error, null);
  assert.deepEqual(told.events.at(-1), ["chunk_delta", 6]);
});

test("the past of a chunk is played from where one says", async () => {
  const playing = { type: "playback", chunk_id: "chunk-0", state: "playing", tick: 5, speed: 8 };
  const now = { type: "playback", chunk_id: "chunk-0", state: "live", tick: 7, speed: 1 };
  const { asked } = answering({ text: text({ type: "session_ready" }, playing, chunkStatic(), chunkDelta(5), chunkDelta(6), now, chunkDelta(7)) });
  const { watcher, told } = watching({ fromTick: 5, speed: 8 });
  await pass(100);
  assert.equal(asked[0][0], "/game/v1/spectate/stream?chunk_id=chunk-0&from_tick=5&speed=8");
  assert.deepEqual(told.events.map(([type]) => type), [
    ...["session_ready", "playback", "chunk_static", "chunk_delta", "chunk_delta", "playback", "chunk_delta"],
  ]);
  assert.equal(watcher.view.tick, 7);
});

test("from a moment of the past on: ticks and times are asked for, and again after a lost line", async () => {
  const played = text({ type: "playback", state: "playing", tick: 5 }, chunkStatic(), chunkDelta(5));
  const { asked } = answering({ text: played, ends: true }, { text: text(chunkDelta(6)) });
  const { told } = watching({ fromTick: 5, speed: 8 });
  await pass(1_000);
  assert.deepEqual(told.events.map(([type]) => type), ["playback", "chunk_static", "chunk_delta", "chunk_delta"]);
  const path = "/game/v1/spectate/stream?chunk_id=chunk-0&from_tick=5&speed=8";
  assert.deepEqual(asked.map(([url]) => url), [path, path]);
  const { asked: once } = answering({ text: played });
  watching({ fromTick: new Date("2026-03-01T12:00:00Z") }, (more) => Watcher.owner("http://world.test", "ada", more));
  await pass(1_000);
  assert.equal(once[0][0], "/v1/owner/stream?agent_id=ada&from_tick=1772366400000&speed=1");
});
