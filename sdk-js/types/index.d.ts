// The SDK's declarations; what each thing does stands at its code in src/.

export * from "./agent.js";
export * from "./errors.js";
export * from "./messages.js";
export * from "./outcomes.js";
export * from "./transport.js";
export * from "./view.js";
export * from "./watcher.js";
