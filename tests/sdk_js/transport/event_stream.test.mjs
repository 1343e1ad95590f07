import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";

import { EventStream } from "../../../sdk-js/src/transport/event_stream.js";
import { answering, pass, settled, sse } from "../streams.mjs";

beforeEach(() => mock.timers.enable({ apis: ["setTimeout"] }));
afterEach(() => {
  mock.timers.reset();
  mock.restoreAll();
});

/** A stream that is being read; what it told lies in `told`. */
function streaming(options = {}) {
  const told = { events: [], phases: [], dead: [], error: null, over: false };
  let opened = 0;
  const sessions = {
    current: async () => ({ token: `sess_${opened++}` }),
    dead: ({ token }) => told.dead.push(token),
  };
  const stream = new EventStream(new URL("http://world.test/v1/spectate/stream?chunk_id=demo"), sessions, {
    openTimeoutMs: null,
    awayTimeoutMs: null,
    onPhase: (phase) => told.phases.push(phase),
    random: () => 0.5,
    ...options,
  });
  const read = async () => {
    for await (const { type, data } of stream.events()) told.events.push([type, data]);
  };
  read().catch((error) => (told.error = error)).finally(() => (told.over = true));
  return { stream, told };
}

test("a lost stream is resumed where it was", async () => {
  const first = { text: `retry: 2000\n\n${sse("chunk_delta", { tick: 5 }, "chunk-0:5:0")}`, ends: true };
  const { asked } = answering(first, { fails: true }, { text: sse("heartbeat", {}) });
  const { told, stream } = streaming();
  await pass(20_000);
  assert.deepEqual(asked.map(([path]) => path), Array(3).fill("/v1/spectate/stream?chunk_id=demo"));
  assert.deepEqual(asked[0][1], { accept: "text/event-stream", authorization: "Bearer sess_0" });
  assert.deepEqual([asked[1][1]["last-event-id"], asked[2][1]["last-event-id"]], ["chunk-0:5:0", "chunk-0:5:0"]);
  assert.deepEqual(told.phases, ["connecting", "live", "waiting", "connecting", "waiting", "connecting", "live"]);
  assert.deepEqual(told.events, [["chunk_delta", '{"tick":5}'], ["heartbeat", "{}"]]);
  assert.equal(stream.connections, 2);
});

test("the server's hint is heeded", async () => {
  const { asked } = answering({ text: "retry: 9000\n\n", ends: true });
  streaming();
  await pass(9_000);
  assert.equal(asked.length, 1);
  await pass(1_000);
  assert.equal(asked.length, 2);
});

test("a refusal that may pass is waited out, not before it says so", async () => {
  const { asked } = answering({ status: 503, text: '{"detail":"not_ready"}', ends: true, headers: { "retry-after": "7" } });
  const { told } = streaming();
  await pass(7_000);
  assert.equal(asked.length, 1);
  await pass(1_000);
  assert.equal(asked.length, 2);
  assert.equal(told.over, false);
});

test("silence of thirty seconds is a lost connection", async () => {
  const seen = answering({ text: sse("heartbeat", {}) });
  const { told } = streaming();
  await pass(29_000);
  assert.equal(seen.cut, 0);
  await pass(2_000);
  assert.equal(seen.cut, 1);
  assert.deepEqual(told.phases.slice(0, 3), ["connecting", "live", "waiting"]);
});

test("a refusal for good ends it", async () => {
  const { asked } = answering({ status: 404, text: '{"detail":"chunk_not_found"}', ends: true });
  const { told } = streaming();
  await pass(60_000, 1_000);
  assert.deepEqual([asked.length, told.error.reason, told.error.status], [1, "chunk_not_found", 404]);
});

test("a dead session gets another chance but not for ever", async () => {
  answering({ status: 401, text: '{"detail":"invalid_session"}', ends: true });
  const { told } = streaming();
  await pass(60_000, 1_000);
  assert.deepEqual(told.dead, ["sess_0", "sess_1", "sess_2"]);
  assert.equal(told.error.reason, "invalid_session");
});

test("a first connection is not tried for ever, unless it is wanted", async () => {
  answering({ fails: true });
  const { told } = streaming({ openTimeoutMs: 0 });
  await pass(1_000);
  assert.equal(told.error.reason, "server_unreachable");
  assert.match(told.error.message, /is the server running/);
});

test("nor is a lost one", async () => {
  answering({ text: sse("heartbeat", {}), ends: true }, { fails: true });
  const { told } = streaming({ awayTimeoutMs: 0 });
  await pass(10_000);
  assert.equal(told.events.length, 1);
  assert.equal(told.error.reason, "server_unreachable");
});

test("a closed stream is silent, and its connection cut", async () => {
  const seen = answering({ text: sse("heartbeat", {}) });
  const { stream, told } = streaming();
  await settled();
  const before = [...told.phases];
  stream.close();
  await pass(60_000, 1_000);
  assert.deepEqual([told.phases, told.error, told.over, seen.cut], [before, null, true, 1]);
});

test("who waits can be told not to", async () => {
  const { asked } = answering({ fails: true });
  const { stream } = streaming({ random: () => 1 });
  await settled();
  assert.equal(asked.length, 1);
  stream.retryNow();
  await settled();
  assert.equal(asked.length, 2);
});
