// Which events of a resumed stream have been shown before. Pure, bounded.

/** How many are remembered; the server keeps 512 events of an agent and 300 ticks of a chunk. */
export const SEEN_MAX = 1024;

const ONCE = new Set(["command_challenge", "command_ack", "command_result", "chunk_transition", "agent_private_delta"]);
const OPENINGS = new Set(["session_ready", "chunk_static", "resync_required"]);

/**
 * Tells repeats from news over any number of connections. Agent-scoped events are known by their event id, deltas by
 * chunk and tick. Openings are never repeats, nor is the first delta after one: it is the present state.
 */
export class Repeats {
  #seen = new Map();
  #ticks = new Map();
  #stateIsNext = true;

  /** Whether the event was seen before; it counts as seen from now on. */
  isRepeat(event) {
    if (event.type === "chunk_delta") return this.#isOldDelta(event);
    if (OPENINGS.has(event.type)) {
      this.#stateIsNext = true;
      // Where history was lost, its numbers may be given out again, to other events.
      if (event.type === "resync_required") this.#seen.clear();
      return false;
    }
    return event.event_id !== "" && ONCE.has(event.type) && remember(this.#seen, `${event.type} ${event.event_id}`);
  }

  #isOldDelta({ chunk_id: chunkId, tick }) {
    const at = `${chunkId} ${tick}`;
    if (!this.#stateIsNext) return remember(this.#ticks, at, { chunkId, tick });
    this.#stateIsNext = false;
    for (const known of this.#ticks.values()) {
      // Ticks only ever rise within a chunk: this is a world put back from a backup, and its ticks come again.
      if (known.chunkId === chunkId && known.tick > tick) {
        this.#ticks.clear();
        break;
      }
    }
    remember(this.#ticks, at, { chunkId, tick });
    return false;
  }
}

/** Whether a key was there; it is now, as the newest. */
function remember(seen, key, value = null) {
  const known = seen.delete(key);
  seen.set(key, value);
  if (seen.size > SEEN_MAX) seen.delete(seen.keys().next().value);
  return known;
}
