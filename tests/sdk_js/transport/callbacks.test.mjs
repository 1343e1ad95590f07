import assert from "node:assert/strict";
import { test } from "node:test";

import { Callbacks, RUNNING_MAX } from "../../../sdk-js/src/transport/callbacks.js";
import { settled } from "../streams.mjs";

const delta = { type: "chunk_delta" };
const chat = { type: "chat", text: "hi" };

test("functions are called for events, for all of them, and for what happened", () => {
  const callbacks = new Callbacks();
  const seen = [];
  callbacks.add("chunk_delta", ({ type }) => seen.push(`one ${type}`));
  callbacks.add("*", ({ type }) => seen.push(`all ${type}`));
  const end = callbacks.add("chat", ({ text }) => seen.push(text));
  callbacks.call(delta, [chat]);
  end();
  end();
  callbacks.call(delta, [chat]);
  assert.deepEqual(seen, ["all chunk_delta", "one chunk_delta", "hi", "all chunk_delta", "one chunk_delta"]);
});

test("the same function may be registered twice, and is taken away once each", () => {
  const callbacks = new Callbacks();
  let count = 0;
  const counted = () => (count += 1);
  const end = callbacks.add("chat", counted);
  callbacks.add("chat", counted);
  end();
  callbacks.call(delta, [chat]);
  assert.equal(count, 1);
});

test("what a function throws is reported and harms nobody else", async () => {
  const reports = [];
  const callbacks = new Callbacks((...words) => reports.push(words.map(String).join(" ")));
  let reached = 0;
  callbacks.add("chat", () => {
    throw new Error("plain");
  });
  callbacks.add("chat", async () => {
    throw new Error("later");
  });
  callbacks.add("chat", () => (reached += 1));
  callbacks.call(delta, [chat]);
  await settled();
  assert.equal(reached, 1);
  assert.deepEqual(reports, ['on("chat") failed Error: plain', 'on("chat") failed Error: later']);
});

test("calls that are under way have a bound, which is reported once", async () => {
  const reports = [];
  const callbacks = new Callbacks((text) => reports.push(text));
  let release;
  const gate = new Promise((resolve) => (release = resolve));
  let calls = 0;
  callbacks.add("chat", () => {
    calls += 1;
    return gate;
  });
  for (let i = 0; i < RUNNING_MAX + 5; i += 1) callbacks.call(delta, [chat]);
  assert.deepEqual([calls, reports.length], [RUNNING_MAX, 1]);
  release();
  await settled();
  callbacks.call(delta, [chat]);
  assert.equal(calls, RUNNING_MAX + 1);
});
