import assert from "node:assert/strict";
import { afterEach, mock, test } from "node:test";
import { inspect } from "node:util";

import { Api } from "../../../sdk-js/src/transport/api.js";

afterEach(() => mock.restoreAll());

/** An `Api` of a server that gives this one answer; `asked` is the last request. */
function api(body, { status = 200, headers = {}, ...options } = {}) {
  const asked = {};
  const fetch = async (url, request) => {
    Object.assign(asked, request, { url: String(url) });
    return new Response(typeof body === "string" ? body : JSON.stringify(body), { status, headers });
  };
  return { api: new Api("http://world.test/game/", { fetch, ...options }), asked };
}

const opened = { session_token: "sess_x", session_jti: "jti_x", role: "agent", cmd_secret: "s3cret" };

test("a session is opened with the key and shows no secret", async () => {
  const { api: client, asked } = api({ ...opened, expires_in_s: 60 });
  const session = await client.openSession("dcw_k", "agent", "ada");
  assert.deepEqual(JSON.parse(asked.body), { api_key: "dcw_k", role: "agent", agent_id: "ada" });
  assert.equal(asked.url, "http://world.test/game/v1/sessions");
  assert.deepEqual([session.token, session.cmdSecret, session.jti, session.lifetimeMs], ["sess_x", "s3cret", "jti_x", 60_000]);
  assert.doesNotMatch(inspect(session, { depth: 5, showHidden: true }) + JSON.stringify(session), /s3cret|sess_x/);
});

for (const [expires_at, lifetimeMs] of [
  [1_000_000_060, 60_000],
  [1_000_000_060_000, 60_000],
  ["2001-09-09T01:47:40Z", 60_000],
  ["never", 900_000],
  [null, 900_000],
]) {
  test(`a session's life is counted by the server's clock: ${expires_at}`, async () => {
    const date = "Sun, 09 Sep 2001 01:46:40 GMT";
    const { api: client } = api({ ...opened, expires_at }, { headers: { date } });
    assert.equal((await client.openSession("dcw_k", "agent", "ada")).lifetimeMs, lifetimeMs);
  });
}

test("a refreshed session is the same with another end", async () => {
  const session = await api({ ...opened, expires_in_s: 60 }).api.openSession("dcw_k", "agent", "ada");
  const { api: client, asked } = api({ expires_in_s: 900 });
  const fresh = await client.refreshSession(session);
  assert.equal(asked.headers.authorization, "Bearer sess_x");
  assert.deepEqual([fresh.token, fresh.cmdSecret, fresh.lifetimeMs], ["sess_x", "s3cret", 900_000]);
});

test("refusals are errors by type, with the server's words", async () => {
  const fields = [{ field: "password", rule: "has 8 characters at least" }, { odd: 1 }];
  const { api: client } = api({ detail: "invalid_body", fields }, { status: 422 });
  await assert.rejects(client.signup("a@b.example", "x"), (error) => {
    assert.equal(error.name, "InvalidRequest");
    assert.equal(error.message, "invalid_body (HTTP 422): password has 8 characters at least");
    return !error.mayPass;
  });
  const busy = api("<html>", { status: 503, headers: { "retry-after": "7" } }).api;
  await assert.rejects(busy.listKeys({ auth: "t" }), { name: "NotReady", reason: "http_503", retryAfterMs: 7000, mayPass: true });
});

test("an answer that is none, or of another shape, is an error too", async () => {
  await assert.rejects(api("<html>").api.request("/x"), { name: "ProtocolViolation" });
  await assert.rejects(api({ odd: 1 }).api.agents({ auth: "t" }), { name: "ProtocolViolation" });
  await assert.rejects(api({ odd: 1 }).api.devSpectatorSession(), { name: "ProtocolViolation" });
  assert.equal(await api("", { status: 200 }).api.request("/x"), null);
});

test("no answer names the address and nothing secret", async () => {
  const fetch = () => Promise.reject(new TypeError("fetch failed", { cause: { code: "ECONNREFUSED" } }));
  const client = new Api("http://world.test", { fetch });
  await assert.rejects(client.openSession("dcw_k", "spectator"), (error) => {
    assert.equal(error.reason, "server_unreachable");
    assert.match(error.message, /^http:\/\/world\.test\/v1\/sessions: no answer \(ECONNREFUSED\); is the server running/);
    return !error.message.includes("dcw_k");
  });
});

test("who logs in may have any letters in the password", async () => {
  const { api: client, asked } = api({ key_id: "k", api_key: "dcw_k" });
  await client.createKey({ auth: ["a@b.example", "pässwörd"], label: "test" });
  const decoded = Buffer.from(asked.headers.authorization.slice("Basic ".length), "base64").toString("utf8");
  assert.equal(decoded, "a@b.example:pässwörd");
  assert.deepEqual(JSON.parse(asked.body), { label: "test" });
});

test("only an address will do", () => {
  for (const base of ["nonsense", "file:///etc", ""]) assert.throws(() => new Api(base), TypeError);
  assert.equal(new Api("http://h:1").url("/v1/x").href, "http://h:1/v1/x");
  assert.equal(new Api("http://h:1/a/b//").url("v1/x").href, "http://h:1/a/b/v1/x");
});
