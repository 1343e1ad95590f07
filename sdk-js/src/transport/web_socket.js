// A line to the server by the runtime's own WebSocket: browsers', and Node's from 22 on.

import { ServerUnreachable } from "../errors.js";
import { Deferred } from "./waiting.js";

const CLOSE_NORMAL = 1000;
export const CLOSE_ABNORMAL = 1006;

/**
 * @typedef {object} Line  A WebSocket, as the connection uses it.
 * @property {(frame: string) => void} send  Nothing happens on a line that has ended.
 * @property {() => void} close  Say goodbye.
 * @property {() => void} cut  End it now, whatever the peer does.
 * @property {Promise<{code: number, reason: string}>} ended  Never rejected.
 */

/**
 * Open a line. The token travels as a subprotocol, since a browser's WebSocket can't set a header.
 *
 * @param {URL} url  `http:` or `https:`.
 * @param {string} token
 * @param {(frame: string) => void} onFrame
 * @param {AbortSignal} signal  Gives the opening up.
 * @returns {Promise<Line>}
 * @throws {ServerUnreachable} It was refused or broke; a browser does not say which, nor why.
 */
export async function openWebSocket(url, token, onFrame, signal) {
  const address = new URL(url);
  address.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  const socket = new WebSocket(address, ["bearer", token]);
  const opened = new Deferred();
  const ended = new Deferred();
  socket.onopen = () => opened.resolve();
  socket.onmessage = ({ data }) => typeof data === "string" && onFrame(data);
  const lost = (code, reason) => {
    ended.resolve({ code, reason });
    opened.reject(new ServerUnreachable(`${url.origin}: the connection was refused or broke`));
  };
  socket.onclose = ({ code, reason }) => lost(code, reason);
  // A close event follows and says more; but not of a handshake that Node 20's refuses (`--experimental-websocket`).
  socket.onerror = () => setTimeout(() => lost(CLOSE_ABNORMAL, ""), 0);
  const cut = () => {
    socket.onmessage = null;
    socket.close();
    lost(CLOSE_ABNORMAL, "");
  };
  signal.addEventListener("abort", cut);
  try {
    await opened.promise;
  } finally {
    signal.removeEventListener("abort", cut);
  }
  return {
    send: (frame) => socket.readyState === WebSocket.OPEN && socket.send(frame),
    close: () => socket.close(CLOSE_NORMAL),
    cut,
    ended: ended.promise,
  };
}
