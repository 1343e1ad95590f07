// `Agent` against a small server over real sockets: commands, lost lines, takeover, sessions.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Agent } from "../../sdk-js/src/agent.js";
import * as errors from "../../sdk-js/src/errors.js";
import { Session } from "../../sdk-js/src/transport/session.js";
import { FakeServer } from "./fake_server.mjs";

/** An agent in the world of a server of its own. No jitter: what is tried again is so at once. */
async function playing(t, { prepare = () => {}, ...options } = {}) {
  const server = await FakeServer.running(t);
  prepare(server);
  const given = { agentId: "ada", apiKey: "dcw_good", random: () => 0, ...options };
  const me = await Agent.connect(server.base, given);
  t.after(() => me.close());
  return { server, me };
}

/** Until it holds; a test that waits for ever is ended by its runner. */
async function until(condition) {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}

test("it enters with terrain and place known", async (t) => {
  const { me } = await playing(t);
  assert.deepEqual([me.chunkId, me.position, me.connected, me.connections], ["chunk-0", { x: 1, y: 1 }, true, 1]);
  assert.deepEqual([me.ended, me.awayMs, me.problem], [null, null, null]);
  assert.deepEqual(me.map.chunks.get("chunk-0").neighbors.E, "chunk-1");
});

for (const difficulty of [0, 1, 2, 3]) {
  test(`a move is signed, solved at difficulty ${difficulty}, and seen`, async (t) => {
    const { server, me } = await playing(t, { prepare: (it) => (it.difficulty = difficulty) });
    const done = await me.moveTo(2, 2);
    assert.deepEqual([done.reason, done.endedTick, me.position], [null, 11, { x: 2, y: 2 }]);
    assert.ok(me.ackMs > 0);
    assert.deepEqual(server.commands, [{ type: "move_to", x: 2, y: 2 }]);
  });
}

test("text beyond ASCII is signed as it is sent", async (t) => {
  const { server, me } = await playing(t);
  await me.say("héllo \u{1f600} | \u2028");
  assert.equal(server.commands[0].text, "héllo \u{1f600} | \u2028");
});

test("calls made at once take turns", async (t) => {
  const { server, me } = await playing(t);
  await Promise.all(["one", "two", "three"].map((text) => me.say(text)));
  assert.deepEqual(server.commands.map(({ text }) => text), ["one", "two", "three"]);
});

test("busy is tried again after the server's time; tries are bounded and can be switched off", async (t) => {
  const { server, me } = await playing(t, { retries: 1 });
  server.faults.push("busy");
  await me.say("again");
  server.faults.push("busy", "busy");
  await assert.rejects(me.say("twice"), errors.Busy);
  const { server: other, me: hasty } = await playing(t, { retries: 0 });
  other.faults.push("busy");
  await assert.rejects(hasty.say("once"), { name: "Busy", retryAfterMs: 20 });
});

test("a mute is told at once, and what banned words cost", async (t) => {
  const { server, me } = await playing(t);
  server.faults.push("mute");
  await assert.rejects(me.say("x"), { name: "Muted", reason: "rate_limited", retryAfterMs: 600_000 });
  server.faults.push("ban");
  await assert.rejects(me.say("x"), (error) => {
    assert.ok(error instanceof errors.BannedWords && error instanceof errors.InvalidCommand);
    assert.match(error.message, /1 more such message mutes this agent/);
    return error.strikesLeft === 1;
  });
});

test("what stands in the way is named", async (t) => {
  const { server, me } = await playing(t);
  server.faults.push("block");
  const at = { x: 2, y: 1 };
  await assert.rejects(me.moveTo(2, 1), { name: "Blocked", blockedAt: at, blocker: { id: "other", ...at } });
  server.faults.push("occupied");
  await assert.rejects(me.moveTo(2, 1), { name: "Unreachable", detail: "occupied", message: /bob stands on 2,1/ });
});

for (const fault of ["drop_after_request", "drop_before_ack", "drop_before_result"]) {
  test(`a lost line does not lose or double a command: ${fault}`, async (t) => {
    const { server, me } = await playing(t);
    const results = [];
    me.on("command_result", (event) => results.push(event.status));
    server.faults.push(fault);
    await me.moveTo(2, 2);
    assert.deepEqual([server.commands.length, me.connections, results], [1, 2, ["completed"]]);
  });
}

test("a reconnect says where it was, and shows each event once", async (t) => {
  const { server, me } = await playing(t);
  const seen = [];
  me.on("*", ({ type, event_id }) => event_id && seen.push(`${type} ${event_id}`));
  await me.say("one");
  me.dropConnection();
  await me.say("two");
  assert.deepEqual(server.resumes, [null, "e-2"]);
  assert.equal(new Set(seen).size, seen.length);
  assert.equal(seen.length, 4);
});

test("the newer connection wins and the older says so to all who wait", async (t) => {
  const { server, me } = await playing(t);
  server.faults.push("silent");
  const events = me.events();
  const saying = me.say("x");
  saying.catch(() => {});
  await until(() => server.faults.length === 0);
  server.sockets[0].close(4001, "taken over");
  await assert.rejects(saying, errors.TakenOver);
  await assert.rejects(async () => {
    for await (const event of events) assert.ok(event.type);
  }, errors.TakenOver);
  await assert.rejects(me.say("y"), errors.TakenOver);
  assert.equal(me.ended.reason, "taken_over");
  assert.equal(me.connections, 1);
});

test("a policy close gets a new session, another close code the same", async (t) => {
  const { server, me } = await playing(t);
  server.sockets[0].close(4002);
  await until(() => me.connections === 2 && me.connected);
  assert.equal(server.sessions, 1);
  server.sockets[1].close(1008);
  await until(() => me.connections === 3 && me.connected);
  assert.equal(server.sessions, 2);
  await me.say("still here");
});

test("a dead session is replaced when reconnecting", async (t) => {
  const { server, me } = await playing(t);
  server.liveTokens.clear();
  me.dropConnection();
  await until(() => me.connections === 2 && me.connected);
  assert.equal(server.sessions, 2);
});

test("a session is refreshed before it ends, and ended with the agent", async (t) => {
  const { server, me } = await playing(t, { prepare: (it) => (it.sessionLifetimeS = 1) });
  await until(() => server.refreshes >= 2);
  assert.equal(server.sessions, 1);
  await me.close();
  assert.equal(server.liveTokens.size, 0);
});

test("a server that is not ready is waited for", async (t) => {
  const { server, me } = await playing(t, { prepare: (it) => it.refuseSockets.push(503, 503) });
  assert.equal(me.connected, true);
  assert.equal(server.refuseSockets.length, 0);
});

test("refusals for good are told on entering, and what they mean", async (t) => {
  await assert.rejects(playing(t, { apiKey: "dcw_bad" }), { name: "InvalidSession", reason: "invalid_api_key" });
  const dead = new Session({ token: "sess_dead" });
  await assert.rejects(playing(t, { apiKey: undefined, session: dead }), { name: "InvalidSession", reason: "invalid_session" });
  await assert.rejects(playing(t, { apiKey: undefined }), TypeError);
  if (globalThis.WebSocket) return; // it does not say what a handshake was refused with
  await assert.rejects(playing(t, { prepare: (it) => it.refuseSockets.push(403) }), { name: "Forbidden", reason: "agent_not_owned" });
});

test("nobody there is told after the given time", async () => {
  const options = { agentId: "ada", apiKey: "dcw_good", openTimeoutMs: 50 };
  await assert.rejects(Agent.connect("http://127.0.0.1:1", options), errors.ServerUnreachable);
});

test("a harvest lets the next command pass", async (t) => {
  const { server, me } = await playing(t);
  const digging = me.harvest("n-0");
  await me.waitUntil((view) => view.me.activity === "harvesting");
  await me.say("meanwhile");
  server.harvestEnds();
  const done = await digging;
  assert.deepEqual([done.reason, done.amount, server.commands.length], ["node_depleted", 4, 2]);
});

test("a command is withdrawn when its time is up, by how far it came", async (t) => {
  const { server, me } = await playing(t);
  server.faults.push("silent");
  await assert.rejects(me.say("x", { timeoutMs: 300 }), errors.CommandDropped);
  server.faults.push("no_ack");
  await assert.rejects(me.say("x", { timeoutMs: 1_000 }), { name: "OutcomeUnknown", reason: "outcome_unknown" });
  server.faults.push("lose_result");
  await assert.rejects(me.say("x", { timeoutMs: 1_000 }), (error) => error instanceof errors.StillRunning && error.clientCmdId !== "");
  await me.say("and on it goes");
});

test("a command does not wait for a server that is away", async (t) => {
  const { server, me } = await playing(t, { random: () => 1 });
  server.refuseSockets.push(...Array(50).fill(503));
  me.dropConnection();
  await until(() => !me.connected);
  await assert.rejects(me.say("x", { timeoutMs: 50 }), errors.ServerUnreachable);
  assert.ok(me.awayMs > 0);
});

test("a connection that stays away ends the agent for all who wait", async (t) => {
  const { server, me } = await playing(t, { awayTimeoutMs: 1, random: () => 1 });
  server.refuseSockets.push(...Array(50).fill(503));
  const saying = assert.rejects(me.waitUntil(() => false), { name: "ServerUnreachable", message: /given up for good/ });
  me.dropConnection();
  await saying;
  assert.equal(me.ended.reason, "server_unreachable");
});

test("a result that is lost with the history ends as unknown", async (t) => {
  const { server, me } = await playing(t);
  server.faults.push("lose_history");
  await assert.rejects(me.moveTo(2, 2), errors.OutcomeUnknown);
  await me.say("on it goes");
});

test("an aborted call leaves the agent usable", async (t) => {
  const { server, me } = await playing(t);
  server.faults.push("silent");
  const stop = new AbortController();
  const saying = me.say("never", { signal: stop.signal });
  stop.abort(new Error("enough"));
  await assert.rejects(saying, /enough/);
  server.faults.length = 0;
  await me.say("later");
  assert.deepEqual(server.commands.map(({ text }) => text), ["later"]);
  await assert.rejects(me.say("x", { signal: AbortSignal.abort(new Error("before")) }), /before/);
});

test("closing ends listeners and later calls", async (t) => {
  const { me } = await playing(t);
  const events = me.events();
  await me.close();
  for await (const { type } of events) assert.ok(type);
  await assert.rejects(me.say("x"), errors.AgentClosed);
  await assert.rejects(me.waitUntil(() => false), errors.AgentClosed);
  assert.equal((await me.events().next()).done, true);
  await me.close();
});

test("a session handed in is used and left alone", async (t) => {
  const prepare = (server) => server.liveTokens.add("sess_7");
  const session = new Session({ token: "sess_7", jti: "jti_7", cmdSecret: "sécret" });
  const { server, me } = await playing(t, { prepare, apiKey: undefined, session });
  await me.say("hello");
  await me.close();
  assert.deepEqual([server.sessions, server.liveTokens.has("sess_7")], [0, true]);
});

test("a bug of ours ends the agent and reaches whoever waits", async (t) => {
  const { me } = await playing(t);
  me.view.feed = () => {
    throw new Error("a bug");
  };
  await assert.rejects(me.say("x"), { name: "ProtocolViolation", reason: "client_error", message: /a bug/ });
  assert.equal(me.ended.reason, "client_error");
});

test("what can't be signed is refused before it is sent", async (t) => {
  const { server, me } = await playing(t);
  await assert.rejects(me.moveTo(NaN, 1), TypeError);
  await me.say("on it goes");
  assert.equal(server.commands.length, 1);
});

test("its history is read with its own session", async (t) => {
  const { server, me } = await playing(t);
  server.entries = [{ entry_id: "2-0", kind: "chat" }, { entry_id: "1-0", kind: "join" }];
  const found = [];
  for await (const { entry_id: id } of me.history({ limit: 5 })) found.push(id);
  assert.deepEqual(found, ["2-0", "1-0"]);
  assert.deepEqual(server.asked, [["/v1/agents/ada/history?limit=5", "sess_1"]]);
});
