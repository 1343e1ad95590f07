// Commands over a connection that comes and goes: one at a time, tried again when that is safe.
//
// `Conversation` drives `AgentProtocol` with real time and a socket's `send`: it signs and solves, matches outcomes to
// waiting callers, and decides when silence has lasted too long. No wait is without a bound:
//
//   the whole of a command          `timeoutMs` of `perform`: turn, connection, tries and result
//   the challenge, then the ack     REPLY_TIMEOUT_MS on one connection
//   the result                      RESULT_TIMEOUT_MS from when the world shows the agent idle
//   both, after `resync_required`   LOST_AFTER_MS: what had been said meanwhile is lost, and comes at once or never

import {
  Busy,
  CommandDropped,
  ExpiredChallenge,
  OutcomeUnknown,
  RateLimited,
  ServerUnreachable,
  StillRunning,
} from "../errors.js";
import { AgentProtocol, Stage } from "../wire/protocol.js";
import { commandHash, sign, signingText, solve } from "../wire/signing.js";
import { Backoff } from "./backoff.js";
import { Deferred, Limit, paused, raced, Turns } from "./waiting.js";

/** The time of a command from call to end, unless its caller says otherwise: longer than any way through a chunk takes. */
export const COMMAND_TIMEOUT_MS = 600_000;
/** Longer than a challenge's record lives (10 s): who is silent for so long has nothing to say any more. */
const REPLY_TIMEOUT_MS = 12_000;
/** An accepted command whose agent stands idle for so long is over, though its result never came. Longer than a chunk's
 * recovery on another node, before which the command may not have begun to show. */
const RESULT_TIMEOUT_MS = 30_000;
const LOST_AFTER_MS = 3_000;
/** How often a wait looks whether it has lasted too long. */
const LOOKS = 3;
/** A refusal that asks for more patience than this (a mute, say) is given to the caller at once. */
const RETRY_WAIT_MAX_MS = 30_000;
const RETRY = { baseMs: 250, capMs: 4_000 };

const WORTH_ANOTHER_TRY = [Busy, RateLimited, ExpiredChallenge];

/** One request as its caller sees it. */
class Pending {
  askedAt = performance.now();
  /** How far it had come when its caller left it. */
  stage = null;
  decided = new Deferred();
  outcome = new Deferred();

  constructor(id) {
    this.id = id;
  }

  /** Note the outcome, once; neither `completed` nor `error` means that it never reached the server's decision. */
  settle({ completed = null, error = null }) {
    if (error) this.outcome.reject(error);
    else this.outcome.resolve(completed);
    this.decided.resolve();
  }
}

export class Conversation {
  /** Milliseconds from the last accepted command's request to its ack, proof of work included; null before. */
  ackMs = null;
  #protocol;
  #agentId;
  #send;
  #onEvent;
  #isActive;
  #random;
  #session = null;
  #turns = new Turns();
  #pending = new Map();
  #solving = new AbortController();
  #ready = new Deferred();
  #readyAt = 0;
  #resyncedAt = 0;
  #end = null;

  /**
   * Begin without a connection.
   * @param {{agentId: string, idPrefix: string, send: (frame: string) => void, onEvent: (event: object) => void,
   *   isActive: () => boolean, random: () => number}} parts  `isActive`: the world shows the agent doing something.
   */
  constructor({ agentId, idPrefix, send, onEvent, isActive, random }) {
    this.#protocol = new AgentProtocol(idPrefix);
    this.#agentId = agentId;
    this.#send = send;
    this.#onEvent = onEvent;
    this.#isActive = isActive;
    this.#random = random;
  }

  // -- for the connection --

  /** Where the next connection resumes. */
  get lastEventId() {
    return this.#protocol.lastEventId;
  }

  /** Go on over a new socket, open with this session. */
  opened(session) {
    this.#session = session;
    this.#protocol.connected();
  }

  /** Take a message. */
  frame(text) {
    this.#protocol.receive(text);
    this.#work();
  }

  /** The socket is gone; commands that were accepted go on in the world. */
  lost() {
    if (this.#ready.done && this.#end === null) this.#ready = new Deferred();
    this.#dropSolving();
    this.#protocol.disconnected();
    this.#work();
  }

  /** End for good: everybody who waits gets `error`. */
  finish(error) {
    this.#end = error;
    this.#dropSolving();
    this.#ready.resolve();
    for (const pending of this.#pending.values()) pending.settle({ error });
    this.#pending.clear();
  }

  // -- for callers --

  /** Whether commands can be sent right now. */
  get connected() {
    return this.#ready.done && this.#end === null;
  }

  /** Throw what ended the conversation, if it has ended. */
  checkOpen() {
    if (this.#end !== null) throw this.#end;
  }

  /**
   * Carry out a command and wait for its end.
   *
   * @param {object} cmd
   * @param {object} how
   * @param {number} how.retries  Further tries after `busy`, `rate_limited` or `expired_challenge`.
   * @param {boolean} how.hold  Whether other commands wait until this one has ended; otherwise until it is accepted.
   * @param {number | null} how.timeoutMs  Of all that together; null as long as the connection and the world let it last.
   * @param {AbortSignal | null} [how.signal]  Leaves it; before its answer was sent, nothing happens then.
   * @throws {CommandRefused | CommandFailed} By the server's reason.
   * @throws {CommandDropped | StillRunning | OutcomeUnknown | ServerUnreachable} By how far it came in time.
   */
  async perform(cmd, { retries, hold, timeoutMs, signal = null }) {
    const attempt = { pending: null };
    const limit = new Limit(timeoutMs, signal);
    try {
      return await this.#tries(cmd, attempt, retries, hold, limit.signal);
    } catch (error) {
      if (!limit.isEndOf(error)) throw error;
    } finally {
      limit.clear();
    }
    return this.#late(attempt.pending, timeoutMs);
  }

  async #tries(cmd, attempt, retries, hold, signal) {
    const backoff = new Backoff(this.#random, RETRY);
    for (;;) {
      let waitMs = 0;
      attempt.pending = null;
      try {
        const completed = await this.#once(cmd, attempt, hold, signal);
        if (completed !== null) return completed;
        if (backoff.tries >= Math.max(retries, 1)) {
          throw new ServerUnreachable("the connection was lost before the command was decided");
        }
        waitMs = backoff.next();
      } catch (error) {
        const hintMs = error.retryAfterMs ?? 0;
        const again = WORTH_ANOTHER_TRY.some((kind) => error instanceof kind);
        if (!again || backoff.tries >= retries || hintMs > RETRY_WAIT_MAX_MS) throw error;
        waitMs = backoff.next(hintMs);
      }
      await paused(waitMs, signal);
      signal.throwIfAborted();
    }
  }

  async #once(cmd, attempt, hold, signal) {
    try {
      await this.#turns.take(signal);
      try {
        await this.#untilReady(signal);
        const pending = (attempt.pending = new Pending(this.#protocol.request(cmd)));
        this.#pending.set(pending.id, pending);
        this.#work();
        await this.#decided(pending, signal);
        if (hold) return await this.#ended(pending, signal);
      } finally {
        this.#turns.pass();
      }
      return await this.#ended(attempt.pending, signal);
    } finally {
      if (attempt.pending !== null) this.#leave(attempt.pending);
    }
  }

  async #untilReady(signal) {
    while (!this.#ready.done) await raced(this.#ready.promise, signal);
    this.checkOpen();
  }

  /** Forget a command that nobody waits for any more; an unanswered challenge of it stays unanswered. */
  #leave(pending) {
    this.#pending.delete(pending.id);
    pending.stage = this.#protocol.stage(pending.id);
    // Only one command at a time is challenged.
    if (pending.stage === Stage.CHALLENGED) this.#dropSolving();
    this.#protocol.forget(pending.id);
  }

  /** The outcome of a command whose time is up if it has just come; throws what it came to otherwise. */
  async #late(pending, timeoutMs) {
    if (pending?.outcome.done) {
      const completed = await pending.outcome.promise;
      if (completed !== null) return completed;
    }
    this.checkOpen();
    const within = `within ${timeoutMs} ms`;
    if (pending?.stage === Stage.ACCEPTED) throw new StillRunning(`accepted, and not over ${within}: it goes on`, pending.id);
    if (pending?.stage === Stage.ANSWERED) throw new OutcomeUnknown(`no decision ${within}; it may still be carried out`);
    if (!this.connected) throw new ServerUnreachable(`no connection ${within}; the command was not sent and will not be`);
    throw new CommandDropped(`not decided ${within}; it was withdrawn, and nothing will happen`);
  }

  /** Wait for the ack; a silence that lasts settles the command. */
  async #decided(pending, signal) {
    const lost = () => {
      const stage = this.#protocol.stage(pending.id);
      const unanswered = stage === Stage.REQUESTED || stage === Stage.CHALLENGED;
      return unanswered ? {} : { error: new OutcomeUnknown("no ack for the answer that was sent; see where the agent is") };
    };
    await this.#waited(pending, pending.decided, REPLY_TIMEOUT_MS, () => false, lost, signal);
  }

  /** Wait for the end of an accepted command, for as long as the world shows that it may be running. */
  async #ended(pending, signal) {
    const text = "accepted, but its result was lost on the way; see where the agent is";
    const lost = () => ({ error: new OutcomeUnknown(text) });
    await this.#waited(pending, pending.outcome, RESULT_TIMEOUT_MS, this.#isActive, lost, signal);
    return pending.outcome.promise;
  }

  /**
   * Wait for `end`; settle with `lost` what does not come within `patienceMs` of an open connection. Time without a
   * connection does not count: the answer may be among what the next one brings. After `resync_required` only that
   * beginning can bring it.
   */
  async #waited(pending, end, patienceMs, isRunning, lost, signal) {
    const began = performance.now();
    let since = began;
    while (!end.done) {
      await this.#endOr(end, Math.min(patienceMs, LOST_AFTER_MS) / LOOKS, signal);
      const now = performance.now();
      if (!this.#ready.done || isRunning()) since = now;
      const boundMs = this.#resyncedAt > began ? Math.min(patienceMs, LOST_AFTER_MS) : patienceMs;
      if (!end.done && now - Math.max(since, this.#readyAt, this.#resyncedAt) >= boundMs) pending.settle(lost());
    }
  }

  /** Wait for `end`, but not longer than `delayMs`. */
  async #endOr(end, delayMs, signal) {
    const over = new AbortController();
    const stop = () => over.abort();
    end.promise.then(stop, stop);
    try {
      await raced(paused(delayMs, over.signal), signal);
    } finally {
      over.abort();
    }
  }

  // -- private --

  /** Do what the protocol asks for, until it asks for nothing more. */
  #work() {
    for (let outputs = this.#protocol.take(); outputs.length > 0; outputs = this.#protocol.take()) {
      for (const output of outputs) this.#do(output);
    }
  }

  #do(output) {
    if (output.send !== undefined) {
      this.#send(output.send);
    } else if (output.solve !== undefined) {
      this.#answer(output.solve, this.#session, this.#solving.signal);
    } else if (output.accepted !== undefined) {
      const pending = this.#pending.get(output.accepted);
      if (!pending) return;
      this.ackMs = performance.now() - pending.askedAt;
      pending.decided.resolve();
    } else if (output.settled !== undefined) {
      this.#pending.get(output.settled)?.settle(output);
    } else {
      this.#show(output.show);
    }
  }

  #show(event) {
    if (event.type === "session_ready") {
      this.#readyAt = performance.now();
      this.#ready.resolve();
    } else if (event.type === "resync_required") {
      this.#resyncedAt = performance.now();
    }
    this.#onEvent(event);
  }

  /** Sign and solve a challenge beside the event loop, unless it is dropped meanwhile. */
  async #answer({ cmd, challenge }, session, signal) {
    try {
      const cmdHash = await commandHash(cmd);
      const signed = signingText(challenge, { sessionJti: session.jti, agentId: this.#agentId, cmdHash });
      const proof = await solve(challenge.nonce, cmdHash, challenge.difficulty, signal);
      const sig = await sign(session.cmdSecret, signed);
      if (signal.aborted) return;
      this.#protocol.answer(challenge, sig, proof);
      this.#work();
    } catch (error) {
      if (!signal.aborted) this.#pending.get(challenge.client_cmd_id)?.settle({ error });
    }
  }

  #dropSolving() {
    this.#solving.abort();
    this.#solving = new AbortController();
  }
}
