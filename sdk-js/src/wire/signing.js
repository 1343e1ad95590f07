// The challenge's arithmetic: canonical JSON, command hash, signature, proof of work; all hashing is WebCrypto's.
//
// The rules are the wire contract's ("Playing"); the same vectors (tests/vectors/signing.json) hold the server, the
// Python SDK and this file to the same bytes.

import { ChunkcrawlError } from "../errors.js";

/** Hashes that are under way at once: as many as make the calls cheap, few enough that stopping takes milliseconds. */
const HASHES_AT_ONCE = 256;

const text = new TextEncoder();

/**
 * `cmd` as JSON with keys sorted by code point, no spaces, and everything beyond ASCII escaped.
 * @throws {TypeError} It holds a number that JSON does not have.
 */
export function canonicalJson(cmd) {
  return canonical(JSON.parse(JSON.stringify(cmd, finite)));
}

/** The hex SHA-256 of the canonical JSON, 64 characters. */
export async function commandHash(cmd) {
  return hex(await sha256(canonicalJson(cmd)));
}

/**
 * The ten fields that are signed, joined by `|`.
 * @param {object} challenge  As the wire has it; `expires_at` goes in as it came.
 * @param {{sessionJti: string, agentId: string, cmdHash: string}} ours
 */
export function signingText(challenge, { sessionJti, agentId, cmdHash }) {
  const { channel_id: channel, server_cmd_id: server, client_cmd_id: client, nonce } = challenge;
  const { expires_at: expiresAt, difficulty } = challenge;
  return ["v1", sessionJti, channel, agentId, server, client, cmdHash, nonce, expiresAt, difficulty].join("|");
}

/** The HMAC-SHA256 of a text by the UTF-8 bytes of `cmdSecret`, base64url without padding. */
export async function sign(cmdSecret, signed) {
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const key = await subtle().importKey("raw", text.encode(cmdSecret), algorithm, false, ["sign"]);
  const mac = new Uint8Array(await subtle().sign("HMAC", key, text.encode(signed)));
  return btoa(String.fromCharCode(...mac)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/**
 * Find a proof nonce: hex SHA-256 of `nonce|cmdHash|proof` starts with `difficulty` zeroes. The expected cost is 16 to
 * that power hashes; they run beside the event loop.
 *
 * @param {AbortSignal | null} signal  Ends the search within milliseconds; it then throws the signal's reason.
 * @returns {Promise<string>} The smallest that does, in decimal digits.
 */
export async function solve(nonce, cmdHash, difficulty, signal = null) {
  if (difficulty <= 0) return "0";
  for (let start = 0; ; start += HASHES_AT_ONCE) {
    signal?.throwIfAborted();
    const candidates = Array.from({ length: HASHES_AT_ONCE }, (_, index) => start + index);
    const hashes = await Promise.all(candidates.map((candidate) => sha256(`${nonce}|${cmdHash}|${candidate}`)));
    const found = hashes.findIndex((hash) => leadingZeroes(hash) >= difficulty);
    if (found >= 0) return String(start + found);
  }
}

function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (typeof value === "string") return ascii(value);
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const names = Object.keys(value).sort(byCodePoint);
  return `{${names.map((name) => `${ascii(name)}:${canonical(value[name])}`).join(",")}}`;
}

function finite(name, value) {
  if (typeof value === "number" && !Number.isFinite(value)) throw new TypeError(`${name}: JSON has no ${value}`);
  return value;
}

function ascii(value) {
  return JSON.stringify(value).replace(/[\u007f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** `Array.sort` compares UTF-16 units; the contract's order is by code point. */
function byCodePoint(one, other) {
  const [left, right] = [[...one], [...other]];
  const at = left.findIndex((letter, index) => letter !== right[index]);
  if (at < 0 || at >= right.length) return left.length - right.length;
  return left[at].codePointAt(0) - right[at].codePointAt(0);
}

async function sha256(value) {
  return new Uint8Array(await subtle().digest("SHA-256", text.encode(value)));
}

function hex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** How many hex zeroes the bytes begin with. */
function leadingZeroes(bytes) {
  const at = bytes.findIndex((byte) => byte !== 0);
  return at < 0 ? 2 * bytes.length : 2 * at + (bytes[at] < 16 ? 1 : 0);
}

function subtle() {
  const found = globalThis.crypto?.subtle;
  if (found) return found;
  const remedy = "browsers have WebCrypto on https and on localhost only: open the page by one of them";
  throw new ChunkcrawlError(remedy, { reason: "no_web_crypto" });
}
