// WebSocket frames (RFC 6455, section 5) as a client reads and writes them; for Node before 22, which has no WebSocket.
// Pure: bytes in, messages out.

export const OPCODE = Object.freeze({ CONTINUATION: 0, TEXT: 1, BINARY: 2, CLOSE: 8, PING: 9, PONG: 10 });

/** The whole of one message. */
export const MESSAGE_MAX_BYTES = 4 * 1024 * 1024;
const CONTROL_MAX_BYTES = 125;

/** The peer broke the protocol; `code` is the close code that says how. */
export class FrameError extends Error {
  name = "FrameError";

  constructor(code, text) {
    super(text);
    this.code = code;
  }
}

/** A frame of ours: whole, and masked, as a client's must be. @param {Uint8Array} mask  Four random bytes. */
export function frameOf(opcode, payload, mask) {
  const { length } = payload;
  const extra = length < 126 ? 0 : length < 65_536 ? 2 : 8;
  const frame = new Uint8Array(6 + extra + length);
  const head = new DataView(frame.buffer);
  head.setUint8(0, 0x80 | opcode);
  head.setUint8(1, 0x80 | (extra === 0 ? length : extra === 2 ? 126 : 127));
  if (extra === 2) head.setUint16(2, length);
  if (extra === 8) head.setBigUint64(2, BigInt(length));
  frame.set(mask, 2 + extra);
  for (let at = 0; at < length; at += 1) frame[6 + extra + at] = payload[at] ^ mask[at % 4];
  return frame;
}

/** What a close frame says. */
export function closeOf(payload) {
  if (payload.length < 2) return { code: 1005, reason: "" };
  return { code: (payload[0] << 8) | payload[1], reason: decoded(payload.subarray(2)) };
}

/** Messages out of bytes that arrive in pieces: `{opcode, payload}`, text already as text. */
export class FrameReader {
  #rest = new Uint8Array(0);
  #parts = [];
  #size = 0;
  #opcode = null;

  /**
   * @param {Uint8Array} bytes  The next piece, cut anywhere.
   * @returns {{opcode: number, payload: Uint8Array | string}[]} The messages it completes, and control frames.
   * @throws {FrameError}
   */
  feed(bytes) {
    this.#rest = joined([this.#rest, bytes]);
    const messages = [];
    for (let frame = this.#frame(); frame !== null; frame = this.#frame()) {
      const message = frame.opcode >= OPCODE.CLOSE ? control(frame) : this.#part(frame);
      if (message !== null) messages.push(message);
    }
    return messages;
  }

  /** The next frame if it is there whole. */
  #frame() {
    const rest = this.#rest;
    if (rest.length < 2) return null;
    if ((rest[0] & 0x70) !== 0 || (rest[1] & 0x80) !== 0) throw new FrameError(1002, "reserved bits, or a server's mask");
    const short = rest[1] & 0x7f;
    const extra = short < 126 ? 0 : short === 126 ? 2 : 8;
    if (rest.length < 2 + extra) return null;
    const view = new DataView(rest.buffer, rest.byteOffset, rest.length);
    const length = extra === 0 ? short : extra === 2 ? view.getUint16(2) : Number(view.getBigUint64(2));
    if (length > MESSAGE_MAX_BYTES) throw new FrameError(1009, "a frame that is too large");
    const end = 2 + extra + length;
    if (rest.length < end) return null;
    this.#rest = rest.subarray(end);
    return { fin: (rest[0] & 0x80) !== 0, opcode: rest[0] & 0x0f, payload: rest.subarray(2 + extra, end) };
  }

  /** A part of a message; the message when it is the last one. */
  #part({ fin, opcode, payload }) {
    const first = this.#opcode === null;
    const known = opcode === OPCODE.TEXT || opcode === OPCODE.BINARY || opcode === OPCODE.CONTINUATION;
    if (!known || first === (opcode === OPCODE.CONTINUATION)) throw new FrameError(1002, "a frame out of order");
    if (first) this.#opcode = opcode;
    this.#parts.push(payload);
    this.#size += payload.length;
    if (this.#size > MESSAGE_MAX_BYTES) throw new FrameError(1009, "a message that is too large");
    if (!fin) return null;
    const whole = joined(this.#parts);
    const message = { opcode: this.#opcode, payload: this.#opcode === OPCODE.TEXT ? decoded(whole) : whole };
    this.#parts = [];
    this.#size = 0;
    this.#opcode = null;
    return message;
  }
}

function control({ fin, opcode, payload }) {
  const known = opcode === OPCODE.CLOSE || opcode === OPCODE.PING || opcode === OPCODE.PONG;
  if (!fin || !known || payload.length > CONTROL_MAX_BYTES) throw new FrameError(1002, "no control frame of the protocol");
  return { opcode, payload };
}

function decoded(bytes) {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new FrameError(1007, "text that is not UTF-8");
  }
}

function joined(parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
