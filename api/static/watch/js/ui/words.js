// Words for people, in one place.

export const SIDE_NAMES = { N: "north", E: "east", S: "south", W: "west" };

/** Refusals and closings as sentences; any other code is shown as it is. */
const REASONS = {
  agent_mismatch: "This session is for another agent.",
  agent_not_found: "There is no such agent.",
  agent_not_owned: "That agent is not this account's.",
  agent_limit_reached: "This account can't have more agents.",
  chunk_not_found: "There is no such chunk.",
  dev_routes_disabled: "This server wants a session token or an API key.",
  draining: "The server is about to restart.",
  invalid_api_key: "The server does not know this API key.",
  invalid_request: "That is no agent's name.",
  invalid_scope: "This session is not made for that.",
  invalid_session: "The session has ended, or never was.",
  rate_limited: "Too many requests; wait a moment.",
  unreachable: "The server does not answer.",
};

export function reasonText(reason) {
  return REASONS[reason] ?? `The server says: ${reason}`;
}

const COMMAND_REASONS = {
  agent_not_found: "nobody of that name here",
  auth_failed: "wrong answer",
  blocked: "blocked",
  busy: "busy",
  depleted: "nothing left",
  expired_challenge: "answered too late",
  insufficient: "not enough gold",
  interrupted_by_new_command: "interrupted by the next one",
  invalid_cmd: "not a valid command",
  node_depleted: "node used up",
  node_not_found: "no such node",
  out_of_bounds: "outside the chunk",
  rate_limited: "too soon",
  too_far: "too far away",
  unreachable: "no way there",
};

export function commandReason(reason) {
  return COMMAND_REASONS[reason] ?? reason.replaceAll("_", " ");
}

/** @param {object | null} what  A command. */
export function commandText(what) {
  switch (what?.type) {
    case "move_to":
      return `Walk to ${what.x}, ${what.y}`;
    case "say":
      return `Say “${what.text}”`;
    case "harvest":
      return "Harvest gold";
    case "give":
      return `Give ${what.amount} gold to ${what.agent_id}`;
    default:
      // Of what began before one looked, only the end is told.
      return what?.type ? String(what.type) : "An earlier command";
  }
}

export const ACTIVITIES = { idle: "standing", moving: "walking", harvesting: "harvesting" };

/** @param {number} count  @param {string} one  @param {string} more */
export function counted(count, one, more = `${one}s`) {
  return `${count.toLocaleString("en")} ${count === 1 ? one : more}`;
}

/** "a, b and c". */
export function listed(words) {
  return words.length < 2 ? (words[0] ?? "") : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`;
}

const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

export function clockTime(ms) {
  return CLOCK.format(ms);
}
