// What is looked at, as the part of the address after #, which never reaches a server: `#/chunk/ID`, `#/agent/ID`; and
// what lies over the map: `#/leaders/BY/PERIOD`, `#/about/ID`.

const FIRST = { chunkId: "demo", agentId: null };
const NAME = "[A-Za-z0-9_.-]{1,128}";

/** @returns {{chunkId: string | null, agentId: string | null}} One of the two. */
export function routeOf(hash) {
  const found = new RegExp(`^#/(chunk|agent)/(${NAME})$`).exec(hash);
  if (!found) return FIRST;
  return found[1] === "agent" ? { chunkId: null, agentId: found[2] } : { chunkId: found[2], agentId: null };
}

/** @returns {{kind: "leaders", by: string, period: string} | {kind: "about", agentId: string} | null} */
export function sheetOf(hash) {
  const leaders = /^#\/leaders(?:\/(gold|chunks|alive)\/(day|week|all))?$/.exec(hash);
  if (leaders) return { kind: "leaders", by: leaders[1] ?? "gold", period: leaders[2] ?? "day" };
  const about = new RegExp(`^#/about/(${NAME})$`).exec(hash);
  return about ? { kind: "about", agentId: about[1] } : null;
}

export function toChunk(chunkId) {
  go(`#/chunk/${chunkId}`);
}

export function toAgent(agentId) {
  go(`#/agent/${agentId}`);
}

export function toLeaders(by, period) {
  go(`#/leaders/${by}/${period}`);
}

export function toAbout(agentId) {
  go(`#/about/${agentId}`);
}

function go(hash) {
  if (location.hash === hash) window.dispatchEvent(new HashChangeEvent("hashchange"));
  else location.hash = hash;
}
