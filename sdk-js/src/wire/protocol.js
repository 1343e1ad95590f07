// One agent's side of the conversation, without sockets, clocks or cryptography.
//
// `AgentProtocol` outlives connections: it knows which commands are in flight, asks for answers to challenges, matches
// acks and results to commands, and drops what a resumed stream repeats. The shell (transport/conversation.js) calls
//
// - `connected()` for each new connection, `receive(frame)` for each message, `disconnected()` when it is lost;
// - `request(cmd)` to start a command, `answer(...)` when a challenge has been signed and solved;
// - after each of these, `take()`, which gives what is to be done.
//
// A command goes REQUESTED -> CHALLENGED -> ANSWERED -> ACCEPTED and ends with exactly one `settled`. When the connection
// is lost before an answer was sent, nothing can have happened, and it ends as one to be tried again; afterwards the
// server alone knows, so it waits for the ack or result that the resumed stream brings. Source: docs/protocol.md.

import { failure, refusal } from "../errors.js";
import { decodeFrame, encode } from "./messages.js";
import { Repeats } from "./repeats.js";
import { canonicalJson } from "./signing.js";

/** How far a command has come. */
export const Stage = Object.freeze({
  REQUESTED: "requested",
  CHALLENGED: "challenged",
  ANSWERED: "answered",
  ACCEPTED: "accepted",
});

/**
 * What is to be done; each has one of these names.
 * @typedef {object} Output
 * @property {string} [send]  A text frame for the socket.
 * @property {{cmd: object, challenge: object}} [solve]  A challenge to sign and solve; hand it to `answer`.
 * @property {string} [accepted]  The id of a command that runs now.
 * @property {string} [settled]  The id of a command that is over: with `completed`, with `error`, or with neither, when
 *   it never reached the server's decision and may be requested again.
 * @property {object} [show]  An event for the view and for whoever listens, each once.
 */

export class AgentProtocol {
  /** Of the present connection, null between connections. */
  channelId = null;
  /** Where to resume from, "" before the first event with an id. */
  lastEventId = "";
  /** How many frames were no messages at all. */
  unusableFrames = 0;
  #idPrefix;
  #count = 0;
  #commands = new Map();
  #repeats = new Repeats();
  #out = [];

  /** @param {string} idPrefix  Makes this object's command ids its own: 1..48 of `A-Z a-z 0-9 _ . : -`. */
  constructor(idPrefix) {
    this.#idPrefix = idPrefix;
  }

  // -- for the connection --

  /** Go on over an open socket; the server's `session_ready` is next. */
  connected() {
    this.channelId = null;
  }

  /** The socket is gone: commands not answered yet may be requested again, the others wait for the next. */
  disconnected() {
    this.channelId = null;
    for (const command of [...this.#commands.values()]) {
      if (command.stage === Stage.REQUESTED || command.stage === Stage.CHALLENGED) this.#settle(command, {});
    }
  }

  /** Take one message. What is no message of the contract is counted and otherwise ignored. */
  receive(frame) {
    const event = decodeFrame(frame);
    if (event === null) {
      this.unusableFrames += 1;
      return;
    }
    if (event.event_id) this.lastEventId = event.event_id;
    if (this.#repeats.isRepeat(event)) return;
    if (event.type === "session_ready") this.channelId = event.channel_id ?? null;
    else if (event.type === "command_challenge") this.#challenged(event);
    else if (event.type === "command_ack") this.#acked(event);
    else if (event.type === "command_result") this.#ended(event);
    else if (event.type === "error") this.#unheard();
    this.#out.push({ show: event });
  }

  /** Hand over, and forget, what is to be done since the last call, in order. @returns {Output[]} */
  take() {
    const out = this.#out;
    this.#out = [];
    return out;
  }

  // -- for commands --

  /**
   * Start a command while a connection is ready; returns the new `client_cmd_id`, which `settled` will name.
   * @throws {TypeError} `cmd` can't be written as canonical JSON.
   */
  request(cmd) {
    canonicalJson(cmd);
    this.#count += 1;
    const id = `${this.#idPrefix}-${this.#count}`;
    this.#commands.set(id, { id, cmd, stage: Stage.REQUESTED, challenge: null });
    this.#out.push({ send: encode("command_req", { client_cmd_id: id, cmd }) });
    return id;
  }

  /** Answer a challenge; nothing happens when the command is not waiting for it any more. */
  answer(challenge, sig, proofNonce) {
    const command = this.#commands.get(challenge.client_cmd_id);
    if (command?.stage !== Stage.CHALLENGED || command.challenge !== challenge) return;
    command.stage = Stage.ANSWERED;
    const answer = { server_cmd_id: challenge.server_cmd_id, sig, proof: { proof_nonce: proofNonce } };
    this.#out.push({ send: encode("command_answer", answer) });
  }

  /** Forget a command that nobody waits for. A challenge of it stays unanswered; what runs goes on running. */
  forget(id) {
    this.#commands.delete(id);
  }

  /** How far the command has come, null when it is over. */
  stage(id) {
    return this.#commands.get(id)?.stage ?? null;
  }

  // -- private --

  #challenged(challenge) {
    const command = this.#commands.get(challenge.client_cmd_id);
    // A challenge of an earlier connection can't be answered on this one: the channel is part of the signature.
    if (command?.stage !== Stage.REQUESTED || challenge.channel_id !== this.channelId) return;
    command.stage = Stage.CHALLENGED;
    command.challenge = challenge;
    this.#out.push({ solve: { cmd: command.cmd, challenge } });
  }

  /** An `error` names no command, but only one can be waiting for a challenge. */
  #unheard() {
    for (const command of [...this.#commands.values()]) {
      if (command.stage === Stage.REQUESTED) this.#settle(command, {});
    }
  }

  #acked(ack) {
    const command = this.#commandOf(ack);
    if (!command) return;
    if (!ack.accepted) {
      this.#settle(command, { error: refusal(ack) });
    } else if (command.stage !== Stage.ACCEPTED) {
      command.stage = Stage.ACCEPTED;
      this.#out.push({ accepted: command.id });
    }
  }

  #commandOf({ client_cmd_id: id, server_cmd_id: serverId }) {
    if (typeof id === "string") return this.#commands.get(id);
    return [...this.#commands.values()].find(({ challenge }) => challenge !== null && challenge.server_cmd_id === serverId);
  }

  #ended(result) {
    const command = this.#commands.get(result.client_cmd_id);
    if (!command) return;
    const { reason = null, ended_tick: endedTick = null, amount = null } = result;
    const completed = { clientCmdId: command.id, reason, endedTick, amount };
    this.#settle(command, result.status === "completed" ? { completed } : { error: failure(result) });
  }

  #settle(command, outcome) {
    this.#commands.delete(command.id);
    this.#out.push({ settled: command.id, ...outcome });
  }
}
