// The SDK: play and watch a chunk world from JavaScript, in browsers and Node. It knows only the wire contract
// (docs/protocol.md).

export * from "./errors.js";
export { Api } from "./transport/api.js";
export { Backoff } from "./transport/backoff.js";
export { Session } from "./transport/session.js";
export { WorldView } from "./view/world_view.js";
export { Watcher } from "./watcher.js";
