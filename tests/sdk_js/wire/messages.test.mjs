import assert from "node:assert/strict";
import { test } from "node:test";

import { decodeEvent, decodeFrame, encode } from "../../../sdk-js/src/wire/messages.js";

test("a frame and an event are the same flat object", () => {
  const payload = { chunk_id: "chunk-0", tick: 7, later: "added" };
  const wanted = { ...payload, type: "chunk_delta", event_id: "e", trace_id: "t", server_ts_ms: 5 };
  const envelope = { type: "chunk_delta", event_id: "e", trace_id: "t", server_ts_ms: 5, payload };
  assert.deepEqual(decodeFrame(JSON.stringify(envelope)), wanted);
  const data = JSON.stringify({ ...payload, type: "chunk_delta", trace_id: "t", server_ts_ms: 5 });
  assert.deepEqual(decodeEvent({ type: "chunk_delta", data, id: "e" }), wanted);
  assert.deepEqual(decodeEvent({ type: "message", data, id: "e" }), wanted);
});

test("a payload can't pass for what the envelope says", () => {
  const payload = { type: "command_ack", event_id: "9", accepted: true };
  const event = decodeFrame(JSON.stringify({ type: "heartbeat", payload }));
  assert.equal(event.type, "heartbeat");
  assert.equal(event.event_id, "");
});

test("types that nobody knows yet pass, and so do those without a payload", () => {
  assert.equal(decodeFrame('{"type":"weather","payload":{"sky":"blue"}}').sky, "blue");
  assert.equal(decodeFrame('{"type":"constructor"}').type, "constructor");
});

for (const frame of ["", "nonsense", "[]", "null", '{"payload":{}}', '{"type":1}', '{"type":"heartbeat","payload":[]}']) {
  test(`no message: ${frame}`, () => assert.equal(decodeFrame(frame), null));
}

const ODD = [
  ["chunk_delta", { chunk_id: "chunk-0" }],
  ["chunk_delta", { chunk_id: "chunk-0", tick: 1, agents: [{ id: "a", x: "1", y: 2 }] }],
  ["chunk_delta", { chunk_id: "chunk-0", tick: 1, agents: {} }],
  ["chunk_delta", { chunk_id: "chunk-0", tick: 1, events: [null] }],
  ["chunk_static", { chunk_id: 5 }],
  ["chunk_static", { chunk_id: "chunk-0", tiles: "####" }],
  ["chunk_static", { chunk_id: "chunk-0", grid: [0, 1] }],
  ["chunk_static", { chunk_id: "chunk-0", resource_nodes: [{ node_id: "n" }] }],
  ["chunk_transition", { agent_id: "a", from_chunk_id: "chunk-0" }],
  ["command_result", {}],
];
for (const [type, data] of ODD) {
  test(`a known type of a shape nobody knows is no message: ${type} ${JSON.stringify(data)}`, () => {
    assert.equal(decodeEvent({ type, data: JSON.stringify(data), id: "" }), null);
  });
}

test("what is sent is an envelope", () => {
  assert.deepEqual(JSON.parse(encode("ping", {})), { type: "ping", payload: {} });
});
