// A small server that speaks the contract, for the agent's tests: real sockets, no world behind them.
//
// It checks signature and proof by node:crypto's reckoning, keeps the agent's events for resumes, and does as it is told
// about failures: every `faults` entry is used up by the command it hits. The Python SDK's tests have the same in
// tests/sdk/fake_server.py.

import { createHash, createHmac } from "node:crypto";
import { createServer } from "node:http";

import { canonicalJson } from "../../sdk-js/src/wire/signing.js";
import { chunkStatic } from "./events.mjs";

const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const SECRET = "sécret";
const sha256 = (text) => createHash("sha256").update(text).digest("hex");

export class FakeServer {
  base = "";
  difficulty = 1;
  /**
   * What to do to the next commands: `busy`, `drop_after_request`, `drop_before_ack`, `drop_before_result`, `silent`,
   * `no_ack`, `block`, `mute`, `ban`, `occupied`, `lose_result`, `lose_history`.
   */
  faults = [];
  /** HTTP statuses with which the next handshakes are refused. */
  refuseSockets = [];
  /** The commands that were carried out, in order. */
  commands = [];
  resumes = [];
  sessions = 0;
  liveTokens = new Set();
  refreshes = 0;
  sessionLifetimeS = 900;
  tick = 10;
  cell = { x: 1, y: 1 };
  activity = "idle";
  log = [];
  sockets = [];
  strikesLeft = 2;
  /** What it says the agent did, and who asked for it. */
  entries = [];
  asked = [];
  /** Ends the harvest that goes on. */
  harvestEnds = null;
  #server = createServer((request, response) => this.#http(request, response));

  /** Listen on a free port of 127.0.0.1 until the test is over. */
  static async running(t) {
    const server = new FakeServer();
    await new Promise((resolve) => server.#server.listen(0, "127.0.0.1", resolve));
    server.base = `http://127.0.0.1:${server.#server.address().port}`;
    server.#server.on("upgrade", (request, socket) => server.#upgrade(request, socket));
    t.after(() => {
      for (const speaker of server.sockets) speaker.cut();
      server.#server.close();
      server.#server.closeAllConnections();
    });
    return server;
  }

  async #http(request, response) {
    let body = "";
    for await (const piece of request) body += piece;
    const token = request.headers.authorization?.replace("Bearer ", "");
    const answer = (status, fields) => response.writeHead(status).end(fields && JSON.stringify(fields));
    const dead = { detail: "invalid_session" };
    if (request.method === "DELETE") {
      this.liveTokens.delete(token);
      answer(204);
    } else if (request.method === "GET") {
      this.asked.push([request.url, token]);
      answer(200, { agent_id: "ada", entries: this.entries, next: null });
    } else if (request.url === "/v1/sessions/refresh") {
      if (!this.liveTokens.has(token)) return answer(401, dead);
      this.refreshes += 1;
      answer(200, { expires_in_s: this.sessionLifetimeS, role: "agent", agent_id: "ada" });
    } else if (JSON.parse(body).api_key === "dcw_good") {
      this.sessions += 1;
      const session = { session_token: `sess_${this.sessions}`, session_jti: `jti_${this.sessions}`, role: "agent" };
      this.liveTokens.add(session.session_token);
      answer(200, { ...session, cmd_secret: SECRET, expires_in_s: this.sessionLifetimeS });
    } else answer(401, { detail: "invalid_api_key" });
  }

  #upgrade(request, socket) {
    socket.on("error", () => {});
    // As a header, or as browsers can: "bearer, <token>".
    const offered = request.headers["sec-websocket-protocol"]?.split(", ") ?? [];
    const token = request.headers.authorization?.replace("Bearer ", "") ?? offered[1];
    const status = this.refuseSockets.shift() ?? (this.liveTokens.has(token) ? 101 : 401);
    if (status !== 101) {
      const reason = { 401: "invalid_session", 403: "agent_not_owned", 503: "not_ready" }[status];
      const body = JSON.stringify({ detail: reason });
      socket.end(`HTTP/1.1 ${status} no\r\ncontent-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`);
      return;
    }
    const accept = createHash("sha1").update(request.headers["sec-websocket-key"] + GUID).digest("base64");
    const chosen = offered.length > 0 ? "sec-websocket-protocol: bearer\r\n" : "";
    const upgraded = "HTTP/1.1 101 yes\r\nupgrade: websocket\r\nconnection: upgrade\r\n";
    socket.write(`${upgraded}${chosen}sec-websocket-accept: ${accept}\r\n\r\n`);
    const last = new URL(request.url, this.base).searchParams.get("last_event_id");
    this.resumes.push(last);
    const speaker = new Speaker(this, socket, `ch_${this.sockets.length}`, token.replace("sess_", "jti_"));
    this.sockets.push(speaker);
    speaker.open(last);
  }
}

/** The server's side of one connection. */
class Speaker {
  #server;
  #socket;
  #channel;
  #jti;
  #asked = new Map();
  #rest = Buffer.alloc(0);
  mute = false;

  constructor(server, socket, channel, jti) {
    this.#server = server;
    this.#socket = socket;
    this.#channel = channel;
    this.#jti = jti;
    socket.on("data", (bytes) => this.#read(bytes));
  }

  /** Cut the line as a network failure would. */
  cut() {
    this.#socket.destroy();
  }

  close(code, reason = "") {
    const payload = Buffer.concat([Buffer.from([code >> 8, code & 0xff]), Buffer.from(reason)]);
    this.#frame(8, payload);
    this.#socket.end();
  }

  /** Send an event; one that lasts is kept for resumes, whether it arrives or not. */
  say(type, payload, lasting = false) {
    const event_id = lasting ? `e-${this.#server.log.length + 1}` : undefined;
    const text = JSON.stringify({ type, event_id, trace_id: "t", server_ts_ms: 1, payload });
    if (lasting) this.#server.log.push(text);
    this.#frame(1, Buffer.from(text));
  }

  open(last) {
    const server = this.#server;
    this.say("session_ready", { agent_id: "ada", channel_id: this.#channel, role: "agent", chunk_id: "chunk-0" });
    const known = last ? Number(last.slice(2)) : 0;
    if (known > server.log.length) this.say("resync_required", { chunk_id: "chunk-0" });
    this.say("chunk_static", chunkStatic());
    this.state();
    for (const text of server.log.slice(known)) this.#frame(1, Buffer.from(text));
  }

  /** The present delta. */
  state() {
    const { tick, cell, activity } = this.#server;
    this.say("chunk_delta", { chunk_id: "chunk-0", tick, agents: [{ id: "ada", ...cell, activity_state: activity }] });
  }

  #frame(opcode, payload) {
    if (this.mute || this.#socket.destroyed) return;
    const head = payload.length < 126 ? [payload.length] : [126, payload.length >> 8, payload.length & 0xff];
    this.#socket.write(Buffer.concat([Buffer.from([0x80 | opcode, ...head]), payload]));
  }

  #read(bytes) {
    this.#rest = Buffer.concat([this.#rest, bytes]);
    while (this.#rest.length >= 6) {
      const short = this.#rest[1] & 0x7f;
      const at = short < 126 ? 2 : 4;
      const length = short < 126 ? short : this.#rest.readUInt16BE(2);
      if (this.#rest.length < at + 4 + length) return;
      const mask = this.#rest.subarray(at, at + 4);
      const payload = this.#rest.subarray(at + 4, at + 4 + length).map((byte, index) => byte ^ mask[index % 4]);
      const opcode = this.#rest[0] & 0x0f;
      this.#rest = this.#rest.subarray(at + 4 + length);
      if (opcode === 8) {
        this.#frame(8, payload);
        this.#socket.end();
      } else if (opcode === 1) this.#hear(JSON.parse(Buffer.from(payload).toString()));
    }
  }

  #hear({ type, payload }) {
    if (type === "ping") this.say("heartbeat", {});
    else if (type === "command_req") this.#requested(payload);
    else this.#answered(payload);
  }

  #requested({ client_cmd_id: name, cmd }) {
    const server = this.#server;
    const [fault] = server.faults;
    const faulty = ["busy", "mute", "drop_after_request", "silent"].includes(fault);
    if (faulty) server.faults.shift();
    if (fault === "busy") this.#refuse(name, { reason: "busy", retry_after_ms: 20 });
    else if (fault === "mute") this.#refuse(name, { reason: "rate_limited", code: "muted", retry_after_ms: 600_000 });
    else if (fault === "drop_after_request") this.cut();
    else if (!faulty) {
      const ids = { client_cmd_id: name, server_cmd_id: `s-${name}`, nonce: `n-${name}`, channel_id: this.#channel };
      const challenge = { ...ids, expires_at: 1_700_000_000_000, difficulty: server.difficulty };
      this.#asked.set(`s-${name}`, { challenge, cmd });
      this.say("command_challenge", challenge);
    }
  }

  #refuse(name, why) {
    this.say("command_ack", { client_cmd_id: name, accepted: false, ...why }, true);
  }

  #isWrong({ challenge, cmd }, { sig, proof }) {
    const hash = sha256(canonicalJson(cmd));
    const { channel_id, server_cmd_id, client_cmd_id, nonce, expires_at, difficulty } = challenge;
    const fields = ["v1", this.#jti, channel_id, "ada", server_cmd_id, client_cmd_id, hash, nonce, expires_at, difficulty];
    const mac = createHmac("sha256", SECRET).update(fields.join("|")).digest("base64url");
    return sig !== mac || !sha256(`${nonce}|${hash}|${proof.proof_nonce}`).startsWith("0".repeat(difficulty));
  }

  #answered(payload) {
    const server = this.#server;
    const asked = this.#asked.get(payload.server_cmd_id);
    const { client_cmd_id: name } = asked.challenge;
    if (this.#isWrong(asked, payload)) return this.#refuse(name, { reason: "auth_failed" });
    const fault = server.faults.shift();
    if (fault === "no_ack") return undefined;
    if (fault === "drop_before_ack") this.cut();
    if (fault === "ban") {
      server.strikesLeft -= 1;
      return this.#refuse(name, { reason: "invalid_cmd", code: "banned_words", strikes_left: server.strikesLeft });
    }
    if (fault === "occupied") {
      const at = { x: asked.cmd.x, y: asked.cmd.y };
      return this.#refuse(name, { reason: "unreachable", detail: "occupied", blocked_at: at, blocker: { id: "bob", ...at } });
    }
    const ids = { client_cmd_id: name, server_cmd_id: payload.server_cmd_id };
    this.say("command_ack", { ...ids, accepted: true, started_tick: server.tick + 1 }, true);
    server.commands.push(asked.cmd);
    if (fault === "lose_history") {
      server.log.length = 0;
      this.cut();
    }
    if (fault === "drop_before_result") this.cut();
    if (fault === "lose_result" || fault === "lose_history") return undefined;
    return asked.cmd.type === "harvest" ? this.#harvest(asked.cmd, ids) : this.#end(asked.cmd, ids, fault);
  }

  /** A harvest goes on beside the next commands. */
  #harvest(cmd, ids) {
    this.#server.activity = "harvesting";
    this.#server.tick += 1;
    this.state();
    this.#server.harvestEnds = () => {
      this.#server.activity = "idle";
      this.#end(cmd, ids, null);
    };
  }

  /** The result, then the delta of its tick: the order that hurts a client which trusts in one. */
  #end(cmd, ids, fault) {
    const server = this.#server;
    server.tick += 1;
    const end = { status: "completed", ended_tick: server.tick };
    if (fault === "block") {
      const at = { x: cmd.x, y: cmd.y };
      Object.assign(end, { status: "failed", reason: "blocked", blocked_at: at, blocker: { id: "other", ...at } });
    } else if (cmd.type === "harvest") Object.assign(end, { reason: "node_depleted", node_id: cmd.node_id, amount: 4 });
    else if (cmd.type === "move_to") server.cell = { x: cmd.x, y: cmd.y };
    this.say("command_result", { ...ids, ...end }, true);
    this.state();
  }
}
