// The followed agent's commands, put together from its challenges, acks and results. Pure.

export const KEPT_MAX = 60;

/**
 * @typedef {object} Command
 * @property {string} id  The server's.
 * @property {"challenged" | "running" | "refused" | "completed" | "failed"} state
 * @property {object | null} what  The command itself, known from its ack on.
 * @property {string} reason  "" or a stable code.
 * @property {string} code  Of a refusal: which check failed, "" if not told.
 * @property {object | null} blocker
 * @property {{x: number, y: number} | null} blockedAt
 * @property {number | null} harvested  Units that a harvest brought.
 * @property {number | null} difficulty  Leading zeroes that were asked for.
 * @property {number | null} startedTick
 * @property {number | null} endedTick
 * @property {number} at  Wall clock of its newest news, milliseconds.
 */

export class CommandLog {
  /** @type {Map<string, Command>} The oldest first. */
  #commands = new Map();

  /** @returns {boolean} Whether anything changed. */
  feed(type, data) {
    const id = idOf(data);
    if (id === null) return false;
    if (type === "command_challenge") return this.#challenge(id, data);
    if (type === "command_ack") return this.#ack(id, data);
    if (type === "command_result") return this.#result(id, data);
    return false;
  }

  /** The newest first. */
  get newestFirst() {
    return [...this.#commands.values()].reverse();
  }

  /** The one that is under way, if any. */
  get running() {
    return this.newestFirst.find((command) => command.state === "running") ?? null;
  }

  #challenge(id, data) {
    if (this.#commands.has(id)) return false;
    const command = this.#command(id, data);
    command.difficulty = data.difficulty ?? null;
    return true;
  }

  #ack(id, data) {
    const command = this.#command(id, data);
    if (command.state !== "challenged") return false;
    command.what = data.echo ?? null;
    command.state = data.accepted ? "running" : "refused";
    command.reason = data.accepted ? "" : String(data.reason ?? "");
    command.code = typeof data.code === "string" ? data.code : "";
    command.startedTick = data.started_tick ?? null;
    return true;
  }

  #result(id, data) {
    const command = this.#command(id, data);
    if (command.state === "completed" || command.state === "failed") return false;
    command.state = data.status === "completed" ? "completed" : "failed";
    command.reason = String(data.reason ?? "");
    command.endedTick = data.ended_tick ?? null;
    command.blocker = data.blocker ?? null;
    command.blockedAt = data.blocked_at ?? null;
    command.harvested = data.amount ?? data.harvested ?? null;
    return true;
  }

  #command(id, data) {
    let command = this.#commands.get(id);
    if (!command) {
      command = { id, state: "challenged", what: null, reason: "", code: "", blocker: null, blockedAt: null };
      Object.assign(command, { harvested: null, difficulty: null, startedTick: null, endedTick: null });
      this.#commands.set(id, command);
      if (this.#commands.size > KEPT_MAX) this.#commands.delete(this.#commands.keys().next().value);
    }
    command.at = data.server_ts_ms ?? 0;
    return command;
  }
}

/** A request that was refused before its challenge has no id of the server's (docs/protocol.md, "In messages"). */
function idOf({ server_cmd_id: id, client_cmd_id: clientId }) {
  if (typeof id !== "string") return null;
  return id || (typeof clientId === "string" ? `request ${clientId}` : null);
}
