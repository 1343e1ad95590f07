// What is looked at, as the part of the address after #, which never reaches a server: `#/chunk/ID`, `#/chunk/ID@TICK` for
// a moment of its past, `#/agent/ID`; and what lies over the map: `#/leaders/BY/PERIOD`, `#/about/ID`.

const FIRST = { chunkId: "demo", agentId: null, tick: null };
const NAME = "[A-Za-z0-9_.-]{1,128}";
/** A hundred trillion ticks are longer than any world lasts. */
const TICK = "[0-9]{1,14}";

/** @returns {{chunkId: string | null, agentId: string | null, tick: number | null}} One of the first two. */
export function routeOf(hash) {
  const found = new RegExp(`^#/(chunk|agent)/(${NAME})(?:@(${TICK}))?$`).exec(hash);
  if (!found) return FIRST;
  const [, kind, name, tick] = found;
  if (kind === "agent") return tick === undefined ? { chunkId: null, agentId: name, tick: null } : FIRST;
  return { chunkId: name, agentId: null, tick: tick === undefined ? null : Number(tick) };
}

/** @returns {{kind: "leaders", by: string, period: string} | {kind: "about", agentId: string} | null} */
export function sheetOf(hash) {
  const leaders = /^#\/leaders(?:\/(gold|chunks|alive)\/(day|week|all))?$/.exec(hash);
  if (leaders) return { kind: "leaders", by: leaders[1] ?? "gold", period: leaders[2] ?? "day" };
  const about = new RegExp(`^#/about/(${NAME})$`).exec(hash);
  return about ? { kind: "about", agentId: about[1] } : null;
}

/** @param {number | null} tick  A moment of its past; null: as it is. */
export function toChunk(chunkId, tick = null) {
  go(momentHash(chunkId, tick));
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

/** The address of a moment of a chunk, or of its present. */
export function momentHash(chunkId, tick) {
  return tick === null ? `#/chunk/${chunkId}` : `#/chunk/${chunkId}@${tick}`;
}

/** Say in the address what is shown already. @param {boolean} anew  As a new entry of the browser's history. */
export function noteMoment(chunkId, tick, anew) {
  const hash = momentHash(chunkId, tick);
  if (location.hash === hash) return;
  if (anew) history.pushState(null, "", hash);
  else history.replaceState(null, "", hash);
}

function go(hash) {
  if (location.hash === hash) window.dispatchEvent(new HashChangeEvent("hashchange"));
  else location.hash = hash;
}
