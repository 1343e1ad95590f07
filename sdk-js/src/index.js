// The SDK: play and watch a chunk world from JavaScript, in browsers and Node. It knows only the wire contract
// (docs/protocol.md).

export { Agent } from "./agent.js";
export * from "./errors.js";
export * from "./journeys/outcomes.js";
export { defaultBase } from "./transport/address.js";
export { Api } from "./transport/api.js";
export { Backoff } from "./transport/backoff.js";
export { EventQueue } from "./transport/event_queue.js";
export { readHistory } from "./transport/history.js";
export { Session } from "./transport/session.js";
export { KnownChunk, WorldMap } from "./view/world_map.js";
export { WorldView } from "./view/world_view.js";
export { Watcher } from "./watcher.js";
