// Messages of the wire contract as flat objects: the payload's fields by the wire's own names, and beside them `type`,
// `event_id` ("" where the stream can't be resumed from it), `trace_id` and `server_ts_ms`.
//
// Tolerant of what the contract may grow: unknown fields and unknown types pass. A known type without the fields that
// this SDK relies on is no message, so that nothing behind this file has to look again.

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const isText = (value) => typeof value === "string";
const isNumber = (value) => Number.isFinite(value);
const isCell = (value) => isObject(value) && isNumber(value.x) && isNumber(value.y);
const isThing = (value) => isCell(value) && isText(value.id);
const isNode = (value) => isCell(value) && isText(value.node_id);
const isNodeState = (value) => isObject(value) && isText(value.node_id);
const listOf = (check) => (value) => value === undefined || (Array.isArray(value) && value.every(check));
const maybe = (check) => (value) => value === undefined || value === null || check(value);

/** The fields on which the SDK relies, by the type of the message. */
const SHAPES = new Map(
  Object.entries({
    session_ready: { channel_id: maybe(isText), chunk_id: maybe(isText), inventory: maybe(isObject) },
    chunk_static: {
      chunk_id: isText,
      tiles: maybe(listOf(isText)),
      grid: maybe(listOf(Array.isArray)),
      resource_nodes: listOf(isNode),
      neighbors: maybe(isObject),
    },
    chunk_delta: {
      chunk_id: isText,
      tick: isNumber,
      agents: listOf(isThing),
      npcs: listOf(isThing),
      resources: listOf(isNodeState),
      events: listOf(isObject),
    },
    chunk_transition: { agent_id: isText, from_chunk_id: isText, to_chunk_id: isText, from: maybe(isCell), to: maybe(isCell) },
    agent_private_delta: { agent_id: isText, inventory: maybe(isObject) },
    command_challenge: { server_cmd_id: isText },
    command_ack: {},
    command_result: { status: isText },
    resync_required: {},
    chunk_closed: { chunk_id: maybe(isText) },
    playback: { state: isText },
    heartbeat: {},
    error: {},
  }),
);

/**
 * One WebSocket message.
 * @param {string} frame  `{"type", "event_id"?, "trace_id", "server_ts_ms", "payload": {...}}`
 * @returns {object | null} null: no message of the contract.
 */
export function decodeFrame(frame) {
  const envelope = parsed(frame);
  if (!isObject(envelope) || !isText(envelope.type)) return null;
  const { type, event_id: id, trace_id: trace, server_ts_ms: at, payload = {} } = envelope;
  return isObject(payload) ? flat(payload, type, id, trace, at) : null;
}

/**
 * One server-sent event.
 * @param {{type: string, data: string, id: string}} event
 * @returns {object | null} null: no message of the contract.
 */
export function decodeEvent({ type, data, id }) {
  const fields = parsed(data);
  if (!isObject(fields)) return null;
  const kind = type && type !== "message" ? type : fields.type;
  return isText(kind) ? flat(fields, kind, id, fields.trace_id, fields.server_ts_ms) : null;
}

/** A WebSocket message of ours as text; the server takes text frames only. */
export function encode(type, payload) {
  return JSON.stringify({ type, payload });
}

function flat(fields, type, id, trace, at) {
  const shape = SHAPES.get(type) ?? {};
  if (!Object.entries(shape).every(([name, check]) => check(fields[name]))) return null;
  return { ...fields, type, event_id: id ?? "", trace_id: trace ?? "", server_ts_ms: at ?? 0 };
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
