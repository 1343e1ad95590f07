// Everything that the SDK throws; src/errors.js draws the tree. `reason` is a stable code, the text is for people.

import type { Blocker, Cell } from "./messages.js";

export class ChunkcrawlError extends Error {
  constructor(text?: string, more?: { reason?: string; cause?: unknown });
  readonly reason: string;
  /** Whether the same request may work later: no connection, 429, 5xx. */
  get mayPass(): boolean;
}

export class ServerUnreachable extends ChunkcrawlError {}
export class ProtocolViolation extends ChunkcrawlError {}

/** One field of a request and the rule that it breaks. */
export interface Fault {
  field: string;
  rule: string;
}

export class ApiError extends ChunkcrawlError {
  constructor(status: number, reason: string, more?: { retryAfterMs?: number | null; faults?: Fault[] });
  readonly status: number;
  readonly retryAfterMs: number | null;
  readonly faults: Fault[];
}
export class InvalidRequest extends ApiError {}
export class InvalidSession extends ApiError {}
export class Forbidden extends ApiError {}
export class NotFound extends ApiError {}
export class Conflict extends ApiError {}
export class TooManyRequests extends ApiError {}
export class NotReady extends ApiError {}

export function apiError(
  status: number,
  reason: string,
  more?: { retryAfterMs?: number | null; faults?: Fault[] },
): ApiError;

export class AgentClosed extends ChunkcrawlError {}
export class TakenOver extends AgentClosed {}
export class CommandDropped extends ChunkcrawlError {}
export class OutcomeUnknown extends ChunkcrawlError {}
export class StillRunning extends OutcomeUnknown {
  constructor(text: string, clientCmdId: string);
  readonly clientCmdId: string;
}
export class ChunkGone extends ChunkcrawlError {
  constructor(chunkId: string);
  readonly chunkId: string;
}

export class CommandRefused extends ChunkcrawlError {
  constructor(reason: string, ack?: object);
  static readonly hint: string;
  readonly retryAfterMs: number | null;
  readonly code: string | null;
}
export class AuthFailed extends CommandRefused {}
export class ExpiredChallenge extends CommandRefused {}
export class InvalidCommand extends CommandRefused {}
export class BannedWords extends InvalidCommand {
  readonly strikesLeft: number | null;
  readonly mutedMs: number | null;
}
export class Busy extends CommandRefused {}
export class RateLimited extends CommandRefused {}
export class Muted extends RateLimited {}
export class OutOfBounds extends CommandRefused {}
export class Unreachable extends CommandRefused {
  readonly detail: "wall" | "occupied" | "no_way" | null;
  readonly blockedAt: Cell | null;
  readonly blocker: Blocker | null;
}
export class NodeNotFound extends CommandRefused {}
export class TooFar extends CommandRefused {}
export class AgentNotFound extends CommandRefused {}
export class Insufficient extends CommandRefused {}
export class Depleted extends CommandRefused {}

/** The contract's reasons in `command_ack`, each with its type. */
export const REFUSALS: ReadonlyMap<string, typeof CommandRefused>;
export function refusal(ack: object): CommandRefused;

export class CommandFailed extends ChunkcrawlError {
  constructor(reason: string, result?: object);
  readonly endedTick: number | null;
}
export class Blocked extends CommandFailed {
  readonly blockedAt: Cell | null;
  readonly blocker: Blocker | null;
}
export class Interrupted extends CommandFailed {}
export class RanDry extends CommandFailed {}
export function failure(result: object): CommandFailed;
