import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";

import { Deferred, Limit, paused, raced, Turns, within } from "../../../sdk-js/src/transport/waiting.js";
import { settled } from "../streams.mjs";

beforeEach(() => mock.timers.enable({ apis: ["setTimeout"] }));
afterEach(() => mock.timers.reset());

/** How a promise stands by now. */
async function state(promise) {
  let now = "waiting";
  promise.then((value) => (now = value ?? "done"), (error) => (now = error.message));
  await settled();
  return now;
}

test("a pause ends with its time, or when it is told to", async () => {
  const stop = new AbortController();
  const [long, short] = [paused(1000, stop.signal), paused(100)];
  mock.timers.tick(100);
  assert.deepEqual([await state(long), await state(short)], ["waiting", "done"]);
  stop.abort();
  assert.equal(await state(long), "done");
  assert.equal(await state(paused(1000, stop.signal)), "done");
});

test("a race is lost to the signal's reason, won by what comes before", async () => {
  const stop = new AbortController();
  const work = new Deferred();
  const race = raced(work.promise, stop.signal);
  assert.equal(await state(race), "waiting");
  stop.abort(new Error("enough"));
  assert.equal(await state(race), "enough");
  work.reject(new Error("nobody's"));
  assert.equal(await state(raced(Promise.resolve("won"), new AbortController().signal)), "won");
  assert.equal(await state(raced(Promise.resolve("won"), stop.signal)), "enough");
});

test("a limit knows its own end from its caller's, and from that of a limit around it", async () => {
  const outer = new Limit(100);
  const inner = new Limit(1000, outer.signal);
  mock.timers.tick(100);
  assert.equal(inner.signal.aborted, true);
  assert.equal(outer.isEndOf(inner.signal.reason), true);
  assert.equal(inner.isEndOf(inner.signal.reason), false);
  const cleared = new Limit(100);
  cleared.clear();
  mock.timers.tick(1000);
  assert.equal(cleared.signal.aborted, false);
  assert.equal(new Limit(null, AbortSignal.abort("before")).signal.reason, "before");
});

test("turns come in order, one at a time; who leaves is passed over", async () => {
  const turns = new Turns();
  const free = new AbortController().signal;
  const stop = new AbortController();
  await turns.take(free);
  const waits = [turns.take(stop.signal), turns.take(free), turns.take(free)];
  stop.abort(new Error("left"));
  assert.deepEqual(await Promise.all(waits.map(state)), ["left", "waiting", "waiting"]);
  turns.pass();
  assert.deepEqual([await state(waits[1]), await state(waits[2])], ["done", "waiting"]);
  turns.pass();
  assert.equal(await state(waits[2]), "done");
  turns.pass();
  assert.equal(await state(turns.take(free)), "done");
  await assert.rejects(turns.take(AbortSignal.abort(new Error("before"))), /before/);
});

test("a turn that came just when its taker left goes to the next", async () => {
  const turns = new Turns();
  const free = new AbortController().signal;
  const stop = new AbortController();
  await turns.take(free);
  const [leaving, next] = [turns.take(stop.signal), turns.take(free)];
  leaving.catch(() => {});
  stop.abort(new Error("left"));
  turns.pass();
  assert.deepEqual([await state(leaving), await state(next)], ["left", "done"]);
});

test("what is waited for within a time is waited for no longer", async () => {
  const never = new Deferred();
  const waiting = within(100, never.promise);
  assert.equal(await state(waiting), "waiting");
  mock.timers.tick(100);
  assert.equal(await state(waiting), "done");
  assert.equal(await state(within(100, Promise.resolve())), "done");
});
