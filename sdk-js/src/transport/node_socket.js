// A line to the server for Node before 22, which has no WebSocket of its own: the handshake by node:http, the frames by
// wire/frames.js. Loaded only where it is needed; browsers never see it.

import { createHash, randomBytes } from "node:crypto";
import { request as plain } from "node:http";
import { request as secure } from "node:https";

import { ServerUnreachable } from "../errors.js";
import { closeOf, FrameError, frameOf, FrameReader, OPCODE } from "../wire/frames.js";
import { bearer, errorOf, unreachable } from "./api.js";
import { Deferred } from "./waiting.js";
import { CLOSE_ABNORMAL } from "./web_socket.js";

/** RFC 6455, section 4.2.2. */
const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const REFUSAL_MAX_BYTES = 64 * 1024;
/** How long a goodbye may go unanswered. */
const CLOSE_TIMEOUT_MS = 1_000;
/** So much may wait for a peer that takes nothing. */
const UNSENT_MAX_BYTES = 1024 * 1024;

/**
 * Open a line; see `openWebSocket`. What the server refuses with is known here.
 * @returns {Promise<import("./web_socket.js").Line>}
 * @throws {ApiError | ServerUnreachable}
 */
export function openNodeSocket(url, token, onFrame, signal) {
  const key = randomBytes(16).toString("base64");
  const upgrade = { connection: "Upgrade", upgrade: "websocket" };
  const headers = { ...bearer(token), ...upgrade, "sec-websocket-key": key, "sec-websocket-version": "13" };
  const opened = new Deferred();
  const request = (url.protocol === "https:" ? secure : plain)(url, { headers, signal, agent: false });
  request.on("error", (cause) => opened.reject(unreachable(url, cause)));
  request.on("response", async (response) => opened.reject(await refusalOf(response, url)));
  request.on("upgrade", (response, socket, head) => {
    const wanted = createHash("sha1").update(key + GUID).digest("base64");
    if (response.headers["sec-websocket-accept"] === wanted) {
      opened.resolve(lineOver(socket, head, onFrame));
    } else {
      socket.destroy();
      opened.reject(new ServerUnreachable(`${url.origin}: this is no WebSocket server`));
    }
  });
  request.end();
  return opened.promise;
}

async function refusalOf(response, url) {
  const pieces = [];
  let size = 0;
  try {
    for await (const piece of response) {
      pieces.push(piece);
      size += piece.length;
      if (size > REFUSAL_MAX_BYTES) break;
    }
  } catch (cause) {
    return unreachable(url, cause);
  }
  const headers = { get: (name) => response.headers[name] ?? null };
  return errorOf(response.statusCode, headers, Buffer.concat(pieces).toString("utf8"));
}

/** The line over a socket whose handshake is done. */
function lineOver(socket, head, onFrame) {
  const reader = new FrameReader();
  const ended = new Deferred();
  let said = null;
  const write = (opcode, payload) => {
    if (socket.writableLength > UNSENT_MAX_BYTES) socket.destroy();
    else if (socket.writable && said === null) socket.write(frameOf(opcode, payload, randomBytes(4)));
  };
  const leave = (code) => {
    write(OPCODE.CLOSE, Uint8Array.of(code >> 8, code & 0xff));
    said ??= { code, reason: "" };
    socket.end();
    setTimeout(() => socket.destroy(), CLOSE_TIMEOUT_MS).unref();
  };
  const hear = ({ opcode, payload }) => {
    if (said !== null) return;
    if (opcode === OPCODE.TEXT) onFrame(payload);
    else if (opcode === OPCODE.PING) write(OPCODE.PONG, payload);
    else if (opcode === OPCODE.CLOSE) {
      const { code, reason } = closeOf(payload);
      leave(1000);
      said = { code, reason };
    }
  };
  const take = (bytes) => {
    try {
      for (const message of reader.feed(bytes)) hear(message);
    } catch (error) {
      if (!(error instanceof FrameError)) throw error;
      leave(error.code);
    }
  };
  socket.unshift(head);
  // Whoever waits for the line has it by then, so that nothing is heard before.
  setImmediate(() => socket.on("data", take));
  socket.on("error", () => {});
  socket.on("close", () => ended.resolve(said ?? { code: CLOSE_ABNORMAL, reason: "" }));
  socket.setNoDelay(true);
  const send = (frame) => write(OPCODE.TEXT, new TextEncoder().encode(frame));
  return { send, close: () => leave(1000), cut: () => socket.destroy(), ended: ended.promise };
}
