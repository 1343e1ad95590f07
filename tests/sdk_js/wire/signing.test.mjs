import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { canonicalJson, commandHash, sign, signingText, solve } from "../../../sdk-js/src/wire/signing.js";

const VECTORS = new URL("../../vectors/signing.json", import.meta.url);
const { vectors } = JSON.parse(readFileSync(VECTORS, "utf8"));

for (const vector of vectors) {
  test(`vector: ${vector.name}`, async () => {
    const cmd = JSON.parse(vector.cmd_wire);
    assert.equal(canonicalJson(cmd), vector.canonical);
    const cmdHash = await commandHash(cmd);
    assert.equal(cmdHash, vector.cmd_hash);
    const signed = signingText(vector, { sessionJti: vector.session_jti, agentId: vector.agent_id, cmdHash });
    assert.equal(signed, vector.signing_string);
    assert.equal(await sign(vector.cmd_secret, signed), vector.sig);
    assert.equal(await solve(vector.nonce, cmdHash, vector.difficulty), vector.proof_nonce);
  });
}

test("there are vectors, hard ones among them", () => {
  assert.ok(vectors.length > 5);
  assert.ok(vectors.some(({ difficulty }) => difficulty === 3));
});

test("what JSON leaves out is not signed, and what it does not have is refused", () => {
  assert.equal(canonicalJson({ type: "say", text: undefined }), '{"type":"say"}');
  for (const x of [NaN, Infinity, -Infinity]) assert.throws(() => canonicalJson({ type: "move_to", x }), /x: JSON has no/);
});

test("keys are sorted by code point, not by UTF-16 unit", () => {
  assert.equal(canonicalJson({ "\u{1f600}": 1, "\uffee": 2, a: 3, ab: 4 }), '{"a":3,"ab":4,"\\uffee":2,"\\ud83d\\ude00":1}');
});

test("a search that is given up ends", async () => {
  const stop = new AbortController();
  const searching = solve("n", "0".repeat(64), 40, stop.signal);
  stop.abort(new Error("enough"));
  await assert.rejects(searching, /enough/);
});

test("without WebCrypto it says where there is some", async (t) => {
  t.mock.getter(globalThis, "crypto", () => ({}));
  await assert.rejects(commandHash({}), { reason: "no_web_crypto", message: /https/ });
});
