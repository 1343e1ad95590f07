import assert from "node:assert/strict";
import { test } from "node:test";

import { SseParser } from "../../../sdk-js/src/wire/sse.js";

function parsed(...pieces) {
  const parser = new SseParser();
  const events = pieces.flatMap((piece) => parser.feed(piece));
  return { events, retry: parser.retryMs };
}

test("an event is the same wherever it is cut", () => {
  const text = 'retry: 1500\r\n: note\r\nid: chunk-0:7:0\r\nevent: chunk_delta\r\ndata: {"tick":\r\ndata:7}\r\n\r\n';
  const wanted = { events: [{ type: "chunk_delta", data: '{"tick":\n7}', id: "chunk-0:7:0" }], retry: 1500 };
  assert.deepEqual(parsed(text), wanted);
  assert.deepEqual(parsed(...text), wanted);
  assert.deepEqual(parsed(...text.replaceAll("\r\n", "\r")), wanted);
  assert.deepEqual(parsed(`\ufeff${text.replaceAll("\r\n", "\n")}`), wanted);
});

test("only line ends end lines", () => {
  const said = "a\u2028b\u2029c\u0085d\x0b";
  assert.deepEqual(parsed(`data: ${said}\n\n`).events.map(({ data }) => data), [said]);
});

test("an id is the event's own, and what is odd is ignored", () => {
  const found = parsed("id: 1\ndata: a\n\nid: 2\x00\ndata: b\n\nretry: 1x\nodd\nid: 3\n\ndata\n\n");
  const events = [
    { type: "message", data: "a", id: "1" },
    { type: "message", data: "b", id: "" },
    { type: "message", data: "", id: "" },
  ];
  assert.deepEqual(found, { events, retry: null });
});

for (const end of ["\n", ""]) {
  test(`an event has a greatest size, ${end ? "of many lines" : "of one line"}`, () => {
    const parser = new SseParser();
    const piece = `data: ${"x".repeat(1 << 20)}${end}`;
    assert.throws(() => {
      for (let i = 0; i < 6; i += 1) parser.feed(piece);
    }, RangeError);
  });
}
