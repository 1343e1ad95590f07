import assert from "node:assert/strict";
import { test } from "node:test";

import { Api } from "../../../sdk-js/src/transport/api.js";
import { readHistory } from "../../../sdk-js/src/transport/history.js";

/** An `Api` whose server gives these pages, and what it was asked for. */
function serving(...pages) {
  const asked = [];
  const fetch = async (url, { headers }) => {
    asked.push([url, headers.authorization]);
    return new Response(JSON.stringify(pages.shift()));
  };
  return { api: new Api("http://world.test", { fetch }), asked };
}

async function all(entries) {
  const found = [];
  for await (const { entry_id: id } of entries) found.push(id);
  return found;
}

const page = (next, ...ids) => ({ agent_id: "a b", entries: ids.map((entry_id) => ({ entry_id })), next });

test("page after page, newest first, of the kinds and the time that were asked for", async () => {
  const { api, asked } = serving(page("2-0", "3-0", "2-0"), page(null, "1-0"));
  const since = new Date("2026-03-01T12:00:00Z");
  const entries = readHistory(api, "a b", "dcw_key", { since, until: "2026-03-02", kinds: ["chat", "give"] });
  assert.deepEqual(await all(entries), ["3-0", "2-0", "1-0"]);
  const [[first, auth], [second]] = asked;
  assert.equal(first.pathname, "/v1/agents/a%20b/history");
  assert.equal(auth, "Bearer dcw_key");
  const query = (url) => [...url.searchParams];
  const times = [["since", "2026-03-01T12:00:00.000Z"], ["until", "2026-03-02"]];
  const kinds = [["kind", "chat"], ["kind", "give"]];
  assert.deepEqual(query(first), [...times, ...kinds, ["limit", "1000"]]);
  assert.deepEqual(query(second), [...times, ...kinds, ["limit", "1000"], ["before", "2-0"]]);
});

test("no more than is wanted", async () => {
  const { api, asked } = serving(page("2-0", "3-0", "2-0"), page("1-0", "1-0"));
  assert.deepEqual(await all(readHistory(api, "ada", "dcw_key", { limit: 3 })), ["3-0", "2-0", "1-0"]);
  assert.deepEqual(asked.map(([url]) => url.searchParams.get("limit")), ["3", "1"]);
  assert.deepEqual(await all(readHistory(api, "ada", "dcw_key", { limit: 0 })), []);
  assert.equal(asked.length, 2);
});

test("an answer of another shape is said to be one", async () => {
  const { api } = serving({ entries: "none" });
  await assert.rejects(all(readHistory(api, "ada", "dcw_key")), { reason: "protocol_violation" });
});
