// Server-sent events out of text that arrives in pieces. Lines end with CR, LF or CRLF only, as the standard says:
// U+2028 in what somebody said must not cut an event in two.

export const EVENT_MAX_CHARS = 4 * 1024 * 1024;

/** @typedef {{type: string, data: string, id: string}} SseEvent  `id` is this event's own, or "". */

export class SseParser {
  #rest = "";
  #begun = false;
  #skipLineFeed = false;
  #data = [];
  #size = 0;
  #type = "";
  #id = "";

  /** What a server wants its clients to wait before they come back; null until told. */
  retryMs = null;

  /**
   * @param {string} text  The next piece, cut anywhere.
   * @returns {SseEvent[]} The events it completes.
   * @throws {RangeError} An event larger than EVENT_MAX_CHARS.
   */
  feed(text) {
    const events = [];
    let from = 0;
    if (!this.#begun && text) {
      this.#begun = true;
      if (text.charCodeAt(0) === 0xfeff) from = 1;
    }
    if (this.#skipLineFeed && text.length > from) {
      if (text[from] === "\n") from += 1;
      this.#skipLineFeed = false;
    }
    const ends = /\r\n|\r|\n/g;
    ends.lastIndex = from;
    for (let end = ends.exec(text); end; end = ends.exec(text)) {
      this.#line(this.#rest + text.slice(from, end.index), events);
      this.#rest = "";
      from = ends.lastIndex;
      // A CR at the very end may be half of a CRLF.
      this.#skipLineFeed = end[0] === "\r" && from === text.length;
    }
    this.#rest += text.slice(from);
    if (this.#size + this.#rest.length > EVENT_MAX_CHARS) throw new RangeError("an event that is too large");
    return events;
  }

  #line(line, events) {
    if (line === "") {
      this.#dispatch(events);
      return;
    }
    const colon = line.indexOf(":");
    if (colon === 0) return;
    const name = colon < 0 ? line : line.slice(0, colon);
    let value = colon < 0 ? "" : line.slice(colon + 1);
    if (value.startsWith(" ")) value = value.slice(1);
    if (name === "data") {
      this.#data.push(value);
      this.#size += value.length + 1;
    } else if (name === "event") {
      this.#type = value;
    } else if (name === "id") {
      if (!value.includes("\0")) this.#id = value;
    } else if (name === "retry" && /^[0-9]+$/.test(value)) {
      this.retryMs = Number(value);
    }
  }

  #dispatch(events) {
    if (this.#data.length > 0) events.push({ type: this.#type || "message", data: this.#data.join("\n"), id: this.#id });
    this.#data = [];
    this.#size = 0;
    this.#type = "";
    this.#id = "";
  }
}
