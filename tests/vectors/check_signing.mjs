// Checks signing.json with JavaScript's own JSON and crypto:  node tests/vectors/check_signing.mjs
import { createHash, createHmac } from "node:crypto";
import { readFileSync } from "node:fs";

const { vectors } = JSON.parse(readFileSync(new URL("signing.json", import.meta.url), "utf8"));

const sha256 = (text) => createHash("sha256").update(text, "utf8").digest("hex");

// Array.sort compares UTF-16 units; the contract's order is by code point.
const byCodePoint = (a, b) => {
  const left = [...a].map((c) => c.codePointAt(0));
  const right = [...b].map((c) => c.codePointAt(0));
  for (let i = 0; i < Math.min(left.length, right.length); i++) if (left[i] !== right[i]) return left[i] - right[i];
  return left.length - right.length;
};

const ascii = (text) =>
  JSON.stringify(text).replace(/[\u007f-\uffff]/g, (c) => "\\u" + c.charCodeAt(0).toString(16).padStart(4, "0"));

const canonical = (value) => {
  if (Array.isArray(value)) return "[" + value.map(canonical).join(",") + "]";
  if (value !== null && typeof value === "object")
    return "{" + Object.keys(value).sort(byCodePoint).map((k) => ascii(k) + ":" + canonical(value[k])).join(",") + "}";
  return typeof value === "string" ? ascii(value) : JSON.stringify(value);
};

let wrong = 0;
const expect = (name, what, found, wanted) => {
  if (found === wanted) return;
  wrong++;
  console.error(`${name}: ${what} is ${found}, not ${wanted}`);
};

for (const v of vectors) {
  const text = canonical(JSON.parse(v.cmd_wire));
  expect(v.name, "canonical", text, v.canonical);
  expect(v.name, "cmd_hash", sha256(text), v.cmd_hash);
  const signed = ["v1", v.session_jti, v.channel_id, v.agent_id, v.server_cmd_id, v.client_cmd_id, v.cmd_hash, v.nonce,
    v.expires_at, v.difficulty].join("|");
  expect(v.name, "signing_string", signed, v.signing_string);
  expect(v.name, "sig", createHmac("sha256", Buffer.from(v.cmd_secret, "utf8")).update(signed).digest("base64url"), v.sig);
  const proof = sha256(`${v.nonce}|${v.cmd_hash}|${v.proof_nonce}`);
  expect(v.name, "pow_hash", proof, v.pow_hash);
  expect(v.name, "zeroes", proof.startsWith("0".repeat(v.difficulty)), true);
}
console.log(`${vectors.length} vectors, ${wrong} wrong`);
process.exit(wrong ? 1 : 0);
