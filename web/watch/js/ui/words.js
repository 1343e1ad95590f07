// Words for people, in one place.

/** Refusals and closings as sentences; any other code is shown as it is. Maps: a code may be any text. */
const REASONS = new Map(Object.entries({
  agent_mismatch: "This session is for another agent.",
  agent_not_found: "There is no such agent.",
  agent_not_owned: "That agent is not this account's.",
  agent_limit_reached: "This account can't have more agents.",
  chunk_not_found: "There is no such chunk. Empty ones are removed after a while; who goes there again finds a new one.",
  dev_routes_disabled: "This server wants a session token or an API key.",
  draining: "The server is about to restart.",
  invalid_api_key: "The server does not know this API key.",
  invalid_request: "That is no agent's name.",
  invalid_scope: "This session is not made for that.",
  invalid_session: "The session has ended, or never was.",
  not_local: "Under this address, this server wants a session token or an API key.",
  rate_limited: "Too many requests; wait a moment.",
  overloaded: "The server has too much to do at the moment.",
  watching_not_public: "This server wants a session token or an API key.",
  unavailable: "A part of the server is away at the moment.",
  server_unreachable: "The server does not answer.",
}));

export function reasonText(reason) {
  return REASONS.get(reason) ?? `The server says: ${reason}`;
}

const COMMAND_REASONS = new Map(Object.entries({
  agent_not_found: "nobody of that name here",
  auth_failed: "wrong answer",
  banned_words: "words that are not allowed",
  blocked: "blocked",
  busy: "busy",
  depleted: "nothing left",
  disconnected: "left the world",
  expired_challenge: "answered too late",
  insufficient: "not enough gold",
  interrupted_by_new_command: "interrupted by the next one",
  invalid_cmd: "not a valid command",
  muted: "muted for a while",
  node_depleted: "node used up",
  node_not_found: "no such node",
  out_of_bounds: "outside the chunk",
  rate_limited: "too soon",
  too_far: "too far away",
  unreachable: "no way there",
}));

/** @param {string} reason  @param {string} code  What failed in particular; said where there are words for it. */
export function commandReason(reason, code = "") {
  return COMMAND_REASONS.get(code) ?? COMMAND_REASONS.get(reason) ?? reason.replaceAll("_", " ");
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

const ACTIVITIES = new Map(Object.entries({ idle: "standing", moving: "walking", harvesting: "harvesting" }));

export function activityText(activity) {
  return ACTIVITIES.get(activity) ?? String(activity);
}

/** @param {number} count  @param {string} one  @param {string} more */
export function counted(count, one, more = `${one}s`) {
  return `${count.toLocaleString("en")} ${count === 1 ? one : more}`;
}

/** How long something lasted, in two units at most. */
export function lifeText(seconds) {
  const units = [[86_400, "d"], [3_600, "h"], [60, "min"], [1, "s"]];
  const at = units.findIndex(([length]) => seconds >= length);
  if (at < 0) return "0 s";
  const [length, name] = units[at];
  const [part, partName] = units[at + 1] ?? [1, ""];
  const rest = Math.floor((seconds % length) / part);
  const first = `${Math.floor(seconds / length)} ${name}`;
  return partName && rest > 0 ? `${first} ${rest} ${partName}` : first;
}

const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });

/** The day before a time of day, unless it is today. */
export function dayText(ms, now = Date.now()) {
  return new Date(ms).toDateString() === new Date(now).toDateString() ? "" : `${DAY.format(ms)}, `;
}

const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

export function clockTime(ms) {
  return CLOCK.format(ms);
}

/** Why a moment can't be shown, and what helps. */
const GAPS = new Map(Object.entries({
  before_first: "It is older than what this server keeps (CHUNKCRAWL_RECORDINGS_KEEP_DAYS, CHUNKCRAWL_RECORDINGS_MAX_MB).",
  missing: "It was lost, or what is there is damaged.",
  other_rules: "It was recorded by another version of the world's rules; that version can show it.",
  not_yet_recorded: "It is being written at the moment, and comes by itself in some seconds.",
  not_recorded: "It was not recorded here: whoever runs this server can set CHUNKCRAWL_RECORDINGS=true.",
}));

export function gapText(reason) {
  return GAPS.get(reason) ?? `The server says: ${reason}`;
}
