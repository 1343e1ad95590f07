import assert from "node:assert/strict";
import { test } from "node:test";

import { EventQueue } from "../../../sdk-js/src/transport/event_queue.js";

const event = (type, id) => ({ type, id });

async function drained(queue) {
  const seen = [];
  for await (const { id } of queue) seen.push(id);
  return seen;
}

test("events come in order, those that wait and those that are waited for", async () => {
  const queue = new EventQueue(8);
  queue.put(event("chat", 1));
  const both = [queue.next(), queue.next()];
  queue.put(event("chat", 2));
  queue.end();
  assert.deepEqual((await Promise.all(both)).map(({ value }) => value.id), [1, 2]);
  assert.equal((await queue.next()).done, true);
});

test("when it is full the oldest delta gives way, then the oldest of all", async () => {
  const queue = new EventQueue(3);
  queue.put(event("command_ack", 1));
  for (const id of [2, 3, 4]) queue.put(event("chunk_delta", id));
  for (const id of [5, 6, 7]) queue.put(event("command_result", id));
  queue.end();
  assert.equal(queue.dropped, 4);
  assert.deepEqual(await drained(queue), [5, 6, 7]);
});

test("it ends with what ended it, after what is left", async () => {
  const queue = new EventQueue(3);
  queue.put(event("chat", 1));
  queue.end(new Error("over"));
  queue.put(event("chat", 2));
  assert.equal((await queue.next()).value.id, 1);
  await assert.rejects(queue.next(), /over/);
  const waiting = new EventQueue(3);
  const next = waiting.next();
  waiting.end(new Error("over"));
  await assert.rejects(next, /over/);
});

test("a listener that leaves is forgotten", async () => {
  let left = 0;
  const queue = new EventQueue(3, () => (left += 1));
  queue.put(event("chat", 1));
  for await (const one of queue) if (one.id === 1) break;
  assert.equal(left, 1);
  assert.throws(() => new EventQueue(0), RangeError);
});
