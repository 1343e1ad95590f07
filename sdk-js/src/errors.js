// Everything that the SDK throws, each with a stable reason code.
//
//   ChunkcrawlError
//   ├── ServerUnreachable            no connection could be made
//   ├── ProtocolViolation            the server said something that the contract does not know
//   ├── ApiError                     an HTTP answer other than 2xx (status, reason)
//   │   ├── InvalidRequest           400, 422
//   │   ├── InvalidSession           401
//   │   ├── Forbidden                403: invalid_scope, agent_mismatch, agent_not_owned
//   │   ├── NotFound                 404
//   │   ├── Conflict                 409
//   │   ├── TooManyRequests          429
//   │   └── NotReady                 503
//   ├── AgentClosed                  the agent's connection has ended and does not come back
//   │   └── TakenOver                a newer connection of the same agent (close code 4001)
//   ├── CommandRefused               command_ack with accepted = false
//   │   ├── AuthFailed, ExpiredChallenge
//   │   ├── InvalidCommand
//   │   │   └── BannedWords          with strikesLeft: how many more mute the agent
//   │   ├── Busy, RateLimited        worth another try
//   │   │   └── Muted                a RateLimited that lasts: the agent may not talk
//   │   └── OutOfBounds, Unreachable, NodeNotFound, TooFar, Depleted, AgentNotFound, Insufficient
//   ├── CommandFailed                command_result with status = failed
//   │   ├── Blocked                  with blockedAt and blocker
//   │   ├── Interrupted              the agent's own next command ended a harvest
//   │   └── RanDry                   somebody else took the node's last unit
//   ├── CommandDropped               not decided in time, and withdrawn: nothing has happened, nothing will
//   ├── OutcomeUnknown               it may have been carried out: the server's word about it was lost, or is late
//   │   └── StillRunning             accepted, and not over in the time that its caller gave it
//   └── ChunkGone                    the watched chunk was removed, as empty ones are
//
// `reason` is the code of the wire contract where there is one; codes are never renamed. Branch on the type or on
// `reason`, never on the text. The same tree as the Python SDK's.

/** The root. `reason` is a stable code; the text is for people. */
export class ChunkcrawlError extends Error {
  static reason = "unknown";

  /** @param {string} [text]  @param {{reason?: string, cause?: unknown}} [more] */
  constructor(text = "", { reason, cause } = {}) {
    const code = reason ?? new.target.reason;
    super(text || code, cause === undefined ? undefined : { cause });
    this.name = new.target.name;
    this.reason = code;
  }

  /** Whether the same request may work later: no connection, 429, 5xx. */
  get mayPass() {
    return false;
  }
}

/** No connection could be made, or it broke before there was an answer. */
export class ServerUnreachable extends ChunkcrawlError {
  static reason = "server_unreachable";

  get mayPass() {
    return true;
  }
}

/** The server's answer does not have the shape that the contract gives it. */
export class ProtocolViolation extends ChunkcrawlError {
  static reason = "protocol_violation";
}

// -- HTTP --

const API_HINTS = new Map([
  ["agent_not_owned", "another account plays under this agent id; choose another id"],
  ["chunk_not_found", "empty chunks are removed after a minute and come back under a new id; GET /v1/chunks lists all"],
  ["email_already_exists", "there is an account for it; make a key with its e-mail and password"],
  ["invalid_api_key", "it is mistyped, revoked or of another server; `chunkcrawl key create` makes one"],
]);

/** An HTTP answer other than 2xx. */
export class ApiError extends ChunkcrawlError {
  /**
   * @param {number} status
   * @param {string} reason
   * @param {{retryAfterMs?: number | null, faults?: {field: string, rule: string}[], said?: string}} [more]
   */
  constructor(status, reason, { retryAfterMs = null, faults = [], said = "" } = {}) {
    const hint = faults.map(({ field, rule }) => `${field} ${rule}`).join("; ") || API_HINTS.get(reason);
    super(`${reason} (HTTP ${status})${hint ? `: ${hint}` : ""}`, { reason });
    this.status = status;
    /** Of the `Retry-After` header, null without one. */
    this.retryAfterMs = retryAfterMs;
    /** What is wrong with the request (422), field by field. */
    this.faults = faults;
    /** What the server says to do, "" where it says nothing. */
    this.said = said;
  }

  get mayPass() {
    return this.status === 429 || this.status >= 500;
  }
}

/** 400 or 422: the request does not have the right shape. */
export class InvalidRequest extends ApiError {}
/** 401: no credentials, or dead ones. */
export class InvalidSession extends ApiError {}
/** 403: not with this role, or not this agent. */
export class Forbidden extends ApiError {}
/** 404: no such chunk, agent or route. */
export class NotFound extends ApiError {}
/** 409: for instance `email_already_exists`. */
export class Conflict extends ApiError {}
/** 429: see `retryAfterMs`. */
export class TooManyRequests extends ApiError {}
/** 503: the server is starting, draining or overloaded. */
export class NotReady extends ApiError {}

const API_ERRORS = new Map([
  [400, InvalidRequest],
  [401, InvalidSession],
  [403, Forbidden],
  [404, NotFound],
  [409, Conflict],
  [422, InvalidRequest],
  [429, TooManyRequests],
  [503, NotReady],
]);

/** The error for an HTTP status, with the server's reason; see `ApiError` for the rest. */
export function apiError(status, reason, more = {}) {
  return new (API_ERRORS.get(status) ?? ApiError)(status, reason, more);
}

// -- the connection --

/** The agent's connection has ended for good; open a new `Agent`. */
export class AgentClosed extends ChunkcrawlError {
  static reason = "agent_closed";
}

/** A newer connection plays this agent now. The SDK does not fight over it. */
export class TakenOver extends AgentClosed {
  static reason = "taken_over";
}

/** A command was not decided in the time that its caller gave it, and was withdrawn: nothing has happened. */
export class CommandDropped extends ChunkcrawlError {
  static reason = "command_dropped";
}

/**
 * The answer was sent, and the server never said what became of the command: the connection or history was lost. It
 * may or may not have been carried out, so the SDK does not repeat it: look at the view first.
 */
export class OutcomeUnknown extends ChunkcrawlError {
  static reason = "outcome_unknown";
}

/** The command was accepted and goes on in the world, longer than its caller wanted to wait. */
export class StillRunning extends OutcomeUnknown {
  static reason = "still_running";

  constructor(text, clientCmdId) {
    super(text);
    /** Its `command_result` among the agent's events will bear this. */
    this.clientCmdId = clientCmdId;
  }
}

/** The watched chunk was removed: an empty one is, after a minute. Where it was, the next visitor finds a new one. */
export class ChunkGone extends ChunkcrawlError {
  static reason = "chunk_gone";

  constructor(chunkId) {
    super(`${chunkId} is gone: empty chunks are removed, and come back under a new id; watch another`);
    this.chunkId = chunkId;
  }
}

// -- commands --

/** The server did not accept the command; the agent has not moved. */
export class CommandRefused extends ChunkcrawlError {
  static hint = "";

  /** @param {string} reason  @param {object} [ack]  The rest of `command_ack`, as the wire has it. */
  constructor(reason, ack = {}) {
    const { code = null, retry_after_ms: retryAfterMs = null } = ack;
    const hint = new.target.hintOf(ack);
    const wait = retryAfterMs === null ? "" : `, try again in ${retryAfterMs} ms`;
    super(`refused: ${code ? `${reason}: ${code}` : reason}${wait}${hint ? ` (${hint})` : ""}`, { reason });
    /** When another try makes sense, null when the server did not say. */
    this.retryAfterMs = retryAfterMs;
    /** The check that failed, more precise than `reason`; null when the server did not say. */
    this.code = code;
  }

  /** What to do about it, as one clause. */
  static hintOf(_ack) {
    return this.hint;
  }
}

/** Signature or proof of work did not match the challenge. */
export class AuthFailed extends CommandRefused {
  static hint = "signature or proof did not match";
}

/** The answer came after `expires_at`. */
export class ExpiredChallenge extends CommandRefused {
  static hint = "the answer came too late";
}

/** The command itself is malformed. */
export class InvalidCommand extends CommandRefused {
  static hint = "the command is malformed";
}

/** A message holds a word that nobody may say here. It was not said, and counts against the agent. */
export class BannedWords extends InvalidCommand {
  static hint = "it holds a word that nobody may say here";

  constructor(reason, ack = {}) {
    super(reason, ack);
    /** How many more mute the agent; 0: this one has. null when the server did not say. */
    this.strikesLeft = ack.strikes_left ?? null;
    /** How long it is muted then. */
    this.mutedMs = ack.muted_ms ?? null;
  }

  static hintOf({ strikes_left: left = null, muted_ms: mutedMs = null }) {
    if (left === null) return this.hint;
    const lasting = mutedMs ? `, for ${mutedMs / 1000} s` : "";
    const cost = left === 0 ? `this agent is muted now${lasting}` : `${left} more such message${left > 1 ? "s mute" : " mutes"} this agent`;
    return `${this.hint}; ${cost}`;
  }
}

/** Another command of this agent is in flight, on any of its connections. */
export class Busy extends CommandRefused {
  static hint = "another command of this agent is in flight";
}

/** Too many commands, or too many wrong answers. */
export class RateLimited extends CommandRefused {
  static hint = "too fast";
}

/** The agent may not talk for `retryAfterMs`, for banned words or by an operator; all else goes on. */
export class Muted extends RateLimited {
  static hint = "this agent may not talk for now; it may do all else";
}

/** The cell is outside 0..49. */
export class OutOfBounds extends CommandRefused {
  static hint = "x and y are 0..49";
}

/** A wall, somebody stands there, or no path leads there. */
export class Unreachable extends CommandRefused {
  static hint = "a wall, somebody on it, or no path leads there";

  constructor(reason, ack = {}) {
    super(reason, ack);
    /** `wall`, `occupied` (the target) or `no_way`; null when the server did not say. */
    this.detail = ack.detail ?? null;
    /** The cell `{x, y}` that is in the way; of `no_way` the first taken one that can't be got round. */
    this.blockedAt = ack.blocked_at ?? null;
    /** What stands there, `{id, x, y}`, or null. */
    this.blocker = ack.blocker ?? null;
  }

  static hintOf({ detail, blocked_at: at, blocker }) {
    const where = at ? `${at.x},${at.y}` : "there";
    const who = blocker?.id || "somebody";
    if (detail === "wall") return `${where} is a wall`;
    if (detail === "occupied") return `${who} stands on ${where}`;
    if (detail === "no_way") return blocker ? `no free way leads there: ${who} stands in it at ${where}` : "no way leads there";
    return this.hint;
  }
}

/** No such resource node in this chunk. */
export class NodeNotFound extends CommandRefused {
  static hint = "no such node in this chunk";
}

/** The node or agent is further than one step away. */
export class TooFar extends CommandRefused {
  static hint = "stand beside it first";
}

/** No agent of that id stands in this chunk. */
export class AgentNotFound extends CommandRefused {
  static hint = "no such agent in this chunk";
}

/** The agent has less gold than it wants to give. */
export class Insufficient extends CommandRefused {
  static hint = "there is not that much gold in the inventory";
}

/** The node has nothing left now. */
export class Depleted extends CommandRefused {
  static hint = "the node is empty, it grows back";
}

/** The contract's reasons in `command_ack`, each with its type. */
export const REFUSALS = new Map([
  ["auth_failed", AuthFailed],
  ["expired_challenge", ExpiredChallenge],
  ["invalid_cmd", InvalidCommand],
  ["busy", Busy],
  ["rate_limited", RateLimited],
  ["out_of_bounds", OutOfBounds],
  ["unreachable", Unreachable],
  ["node_not_found", NodeNotFound],
  ["too_far", TooFar],
  ["depleted", Depleted],
  ["agent_not_found", AgentNotFound],
  ["insufficient", Insufficient],
]);

const BY_CODE = new Map([
  ["banned_words", BannedWords],
  ["muted", Muted],
]);

/** The error for a refused `command_ack`; unknown reasons give a plain `CommandRefused`. */
export function refusal(ack) {
  const reason = ack.reason ?? "unknown";
  return new (BY_CODE.get(ack.code) ?? REFUSALS.get(reason) ?? CommandRefused)(reason, ack);
}

/** An accepted command ended without reaching its aim. */
export class CommandFailed extends ChunkcrawlError {
  /** @param {string} reason  @param {object} [result]  The rest of `command_result`, as the wire has it. */
  constructor(reason, result = {}) {
    super(`failed: ${reason}`, { reason });
    /** The tick at which it ended, null when the server did not say. */
    this.endedTick = result.ended_tick ?? null;
  }
}

/** Something stood in the way. */
export class Blocked extends CommandFailed {
  constructor(reason, result = {}) {
    super(reason, result);
    /** The occupied cell `{x, y}`, local to the chunk, null when the server did not say. */
    this.blockedAt = result.blocked_at ?? null;
    /** What stands there, `{id, x, y}`, or null. */
    this.blocker = result.blocker ?? null;
  }
}

/** The agent's own next command ended this harvest. */
export class Interrupted extends CommandFailed {}
/** Somebody else took the last unit of the node that was being harvested. */
export class RanDry extends CommandFailed {}

const FAILURES = new Map([
  ["blocked", Blocked],
  ["interrupted_by_new_command", Interrupted],
  ["depleted", RanDry],
]);

/** The error for a `command_result` with status `failed`. */
export function failure(result) {
  const reason = result.reason ?? "unknown";
  return new (FAILURES.get(reason) ?? CommandFailed)(reason, result);
}
