import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";

import { InvalidSession, NotReady } from "../../../sdk-js/src/errors.js";
import { Session } from "../../../sdk-js/src/transport/session.js";
import { SessionKeeper } from "../../../sdk-js/src/transport/sessions.js";
import { pass } from "../streams.mjs";

beforeEach(() => mock.timers.enable({ apis: ["setTimeout"] }));
afterEach(() => mock.timers.reset());

/** A keeper, and what was asked of its server; `refused` are thrown first. */
function keeping({ session = null, refused = [] } = {}) {
  const asked = { opened: 0, refreshed: 0, ended: [] };
  const api = {
    openSession: async () => new Session({ token: `sess_${++asked.opened}`, lifetimeMs: 10_000 }),
    refreshSession: async (old) => {
      asked.refreshed += 1;
      if (refused.length > 0) throw refused.shift();
      return old.until({ expires_in_s: 10 }, 0);
    },
    endSession: async ({ token }) => asked.ended.push(token),
  };
  const apiKey = session === null ? "dcw_x" : null;
  return { keeper: SessionKeeper.ofRole(api, "agent", "ada", { apiKey, session, random: () => 0 }), asked };
}

test("one is opened when it is needed, once, and again when it is dead", async () => {
  const { keeper, asked } = keeping();
  const [one, same] = await Promise.all([keeper.current(), keeper.current()]);
  assert.equal(one, same);
  keeper.dead(new Session({ token: "sess_other" }));
  assert.equal(await keeper.current(), one);
  keeper.dead(one);
  assert.equal((await keeper.current()).token, "sess_2");
  assert.equal(asked.opened, 2);
});

test("one that was given can't be replaced, and is not ended", async () => {
  const { keeper, asked } = keeping({ session: new Session({ token: "sess_mine" }) });
  keeper.dead(await keeper.current());
  await assert.rejects(keeper.current(), InvalidSession);
  await keeper.end();
  assert.deepEqual(asked.ended, []);
  assert.throws(() => new SessionKeeper({}, {}), TypeError);
});

test("it is refreshed before its end, again and again, until it is left", async () => {
  const { keeper, asked } = keeping();
  const stop = new AbortController();
  keeper.keep(await keeper.current(), stop.signal);
  await pass(5_900);
  assert.equal(asked.refreshed, 0);
  await pass(200);
  assert.equal(asked.refreshed, 1);
  await pass(6_000);
  assert.equal(asked.refreshed, 2);
  stop.abort();
  await pass(20_000, 1_000);
  assert.equal(asked.refreshed, 2);
  await keeper.end();
  assert.deepEqual(asked.ended, ["sess_1"]);
});

test("a server that is not ready is asked again; one that refuses ends it", async () => {
  const { keeper, asked } = keeping({ refused: [new NotReady(503, "not_ready"), new InvalidSession(401, "invalid_session")] });
  const kept = keeper.keep(await keeper.current(), new AbortController().signal);
  await pass(6_200);
  await kept;
  assert.equal(asked.refreshed, 2);
  assert.equal((await keeper.current()).token, "sess_2");
});
