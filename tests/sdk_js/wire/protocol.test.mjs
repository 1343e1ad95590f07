import assert from "node:assert/strict";
import { test } from "node:test";

import { AgentProtocol, Stage } from "../../../sdk-js/src/wire/protocol.js";

/** A protocol with a connection, and what it asked for. */
function ready(channel = "ch-1") {
  const protocol = new AgentProtocol("p");
  protocol.connected();
  hear(protocol, "session_ready", { channel_id: channel });
  protocol.take();
  return protocol;
}

function hear(protocol, type, payload, event_id) {
  protocol.receive(JSON.stringify({ type, event_id, payload }));
  return protocol.take();
}

const without = (outputs) => outputs.filter(({ show }) => show === undefined);
const challenge = { client_cmd_id: "p-1", server_cmd_id: "s-1", nonce: "n", expires_at: 5, difficulty: 1, channel_id: "ch-1" };
const ids = { client_cmd_id: "p-1", server_cmd_id: "s-1" };

/** A command that has come as far as its answer. */
function answered() {
  const protocol = ready();
  protocol.request({ type: "say", text: "x" });
  const [{ solve }] = without([...protocol.take().slice(1), ...hear(protocol, "command_challenge", challenge)]);
  protocol.answer(solve.challenge, "sig", "7");
  return protocol;
}

test("a command goes from its request to its result", () => {
  const protocol = ready();
  const id = protocol.request({ type: "say", text: "x" });
  assert.equal(id, "p-1");
  assert.deepEqual(JSON.parse(protocol.take()[0].send).payload, { client_cmd_id: "p-1", cmd: { type: "say", text: "x" } });
  const [{ solve }] = without(hear(protocol, "command_challenge", challenge));
  assert.deepEqual([solve.cmd.text, solve.challenge.nonce, protocol.stage(id)], ["x", "n", Stage.CHALLENGED]);
  protocol.answer(solve.challenge, "sig", "7");
  const answer = { server_cmd_id: "s-1", sig: "sig", proof: { proof_nonce: "7" } };
  assert.deepEqual(JSON.parse(protocol.take()[0].send), { type: "command_answer", payload: answer });
  assert.deepEqual(without(hear(protocol, "command_ack", { ...ids, accepted: true })), [{ accepted: "p-1" }]);
  const result = { ...ids, status: "completed", ended_tick: 9, amount: 4 };
  const completed = { clientCmdId: "p-1", reason: null, endedTick: 9, amount: 4 };
  assert.deepEqual(without(hear(protocol, "command_result", result)), [{ settled: "p-1", completed }]);
  assert.equal(protocol.stage(id), null);
  assert.deepEqual(without(hear(protocol, "command_result", result)), []);
});

test("a refusal and a failure are errors by type", () => {
  const refused = without(hear(answered(), "command_ack", { ...ids, accepted: false, reason: "too_far" }));
  assert.deepEqual([refused.at(-1).settled, refused.at(-1).error.name], ["p-1", "TooFar"]);
  const unnamed = without(hear(answered(), "command_ack", { server_cmd_id: "s-1", accepted: false, reason: "expired_challenge" }));
  assert.equal(unnamed.at(-1).error.name, "ExpiredChallenge");
  const protocol = answered();
  const failed = without(hear(protocol, "command_result", { ...ids, status: "failed", reason: "blocked", ended_tick: 3 }));
  assert.deepEqual([failed.at(-1).error.name, failed.at(-1).error.endedTick], ["Blocked", 3]);
});

test("a lost connection settles what was not answered, and that alone", () => {
  const waiting = ready();
  waiting.request({ type: "say", text: "x" });
  waiting.take();
  waiting.disconnected();
  assert.deepEqual(waiting.take(), [{ settled: "p-1" }]);
  const protocol = answered();
  protocol.take();
  protocol.disconnected();
  assert.deepEqual([protocol.take(), protocol.stage("p-1"), protocol.channelId], [[], Stage.ANSWERED, null]);
  protocol.connected();
  hear(protocol, "session_ready", { channel_id: "ch-2" });
  assert.equal(without(hear(protocol, "command_result", { ...ids, status: "completed" }, "e-1")).length, 1);
});

test("a challenge of an earlier connection, or for another command, is not answered", () => {
  const protocol = ready("ch-2");
  protocol.request({ type: "say", text: "x" });
  protocol.take();
  assert.deepEqual(without(hear(protocol, "command_challenge", challenge)), []);
  const stale = { ...challenge, channel_id: "ch-2", client_cmd_id: "p-9" };
  assert.deepEqual(without(hear(protocol, "command_challenge", stale)), []);
  protocol.answer(challenge, "sig", "7");
  assert.deepEqual(protocol.take(), []);
});

test("an error is about the command that waits for its challenge", () => {
  const protocol = ready();
  protocol.request({ type: "say", text: "x" });
  protocol.take();
  assert.deepEqual(without(hear(protocol, "error", { reason: "bad_frame" })), [{ settled: "p-1" }]);
  assert.deepEqual(without(hear(answered(), "error", { reason: "already_consumed" })).filter(({ settled }) => settled), []);
});

test("what is no message is counted, and what was shown is not shown again", () => {
  const protocol = ready();
  assert.deepEqual(hear(protocol, 5, {}), []);
  assert.equal(protocol.unusableFrames, 1);
  const told = { agent_id: "ada", inventory: { gold: 1 } };
  assert.equal(hear(protocol, "agent_private_delta", told, "e-1").length, 1);
  assert.equal(hear(protocol, "agent_private_delta", told, "e-1").length, 0);
  assert.equal(protocol.lastEventId, "e-1");
});

test("a command that nobody waits for is forgotten", () => {
  const protocol = answered();
  protocol.take();
  protocol.forget("p-1");
  assert.deepEqual(without(hear(protocol, "command_ack", { ...ids, accepted: true })), []);
});

test("a command that JSON can't hold is refused before anything is sent", () => {
  const protocol = ready();
  assert.throws(() => protocol.request({ type: "move_to", x: NaN }), TypeError);
  assert.deepEqual(protocol.take(), []);
});
