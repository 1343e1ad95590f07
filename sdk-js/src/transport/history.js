// What an agent has done, as the server has kept it: pages of `GET /v1/agents/{agent_id}/history`.

import { ProtocolViolation } from "../errors.js";

const PAGE_MAX = 1000;

/**
 * @typedef {object} HistoryOptions
 * @property {Date | string} [since]  From then on; a text is an ISO time, UTC without a zone.
 * @property {Date | string} [until]  Only before then.
 * @property {string[]} [kinds]  Only these of `join`, `leave`, `result`, `crossing`, `harvest`, `give`, `chat`,
 *   `thought`; empty: all.
 * @property {number | null} [limit]  At most so many; null: all that is kept.
 */

/**
 * What an agent did and was given, newest first, page after page, with the wire's own names: `entry_id`, `at`, `tick`,
 * `kind`, `chunk_id`, `agent_id`, `details`.
 *
 * @param {import("./api.js").Api} api  @param {string} agentId  @param {string | [string, string]} auth  The account's
 *   token, e-mail and password, an API key, or the token of a session for this agent.
 * @param {HistoryOptions} [options]
 * @throws {NotFound} Nobody has played an agent of that id.
 */
export async function* readHistory(api, agentId, auth, { since, until, kinds = [], limit = null } = {}) {
  const asked = new URLSearchParams();
  if (since !== undefined) asked.set("since", isoTime(since));
  if (until !== undefined) asked.set("until", isoTime(until));
  for (const kind of kinds) asked.append("kind", kind);
  for (let left = limit ?? Infinity; left > 0; ) {
    asked.set("limit", String(Math.min(left, PAGE_MAX)));
    const page = await api.request(`/v1/agents/${encodeURIComponent(agentId)}/history?${asked}`, { auth });
    if (!Array.isArray(page?.entries)) throw new ProtocolViolation("the history: there are no entries in the answer");
    yield* page.entries;
    if (!page.next) return;
    asked.set("before", page.next);
    left -= page.entries.length;
  }
}

function isoTime(at) {
  return at instanceof Date ? at.toISOString() : at;
}
