// What is looked at, as the part of the address after #, which never reaches a server: `#/chunk/ID`, `#/agent/ID`.

const FIRST = { chunkId: "demo", agentId: null };

/** @returns {{chunkId: string | null, agentId: string | null}} One of the two. */
export function routeOf(hash) {
  const found = /^#\/(chunk|agent)\/([A-Za-z0-9_.-]{1,128})$/.exec(hash);
  if (!found) return FIRST;
  return found[1] === "agent" ? { chunkId: null, agentId: found[2] } : { chunkId: found[2], agentId: null };
}

export function toChunk(chunkId) {
  go(`#/chunk/${chunkId}`);
}

export function toAgent(agentId) {
  go(`#/agent/${agentId}`);
}

function go(hash) {
  if (location.hash === hash) window.dispatchEvent(new HashChangeEvent("hashchange"));
  else location.hash = hash;
}
