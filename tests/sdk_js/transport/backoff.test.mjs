import assert from "node:assert/strict";
import { test } from "node:test";

import { Backoff } from "../../../sdk-js/src/transport/backoff.js";

test("waiting grows with full jitter up to a cap", () => {
  const most = new Backoff(() => 1);
  const least = new Backoff(() => 0);
  const delays = Array.from({ length: 40 }, () => most.next());
  assert.deepEqual(delays.slice(0, 6), [500, 1000, 2000, 4000, 8000, 15000]);
  assert.deepEqual(new Set(delays.slice(5)), new Set([15000]));
  assert.equal(most.tries, 40);
  most.reset();
  assert.equal(most.next(), 500);
  assert.equal(least.next(1200), 1200);
});

test("a window that the server's going gives is kept, and a bound of one's own", () => {
  const backoff = new Backoff(() => 1, { baseMs: 250, capMs: 4000 });
  assert.equal(backoff.next(0, 10_000), 10_000);
  assert.deepEqual(Array.from({ length: 5 }, () => backoff.next()), [500, 1000, 2000, 4000, 4000]);
});
