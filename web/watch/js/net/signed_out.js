// Tabs that hold an operator's token: consoles, and what they opened to watch. Who signs out in one has signed out in all.

import { attempt } from "./sessions.js";

const SIGNED_OUT = "signed out";
// Where storage is forbidden this may be, too; then no tab has taken over a token.
const channel = attempt(() => new BroadcastChannel("chunkcrawl.operator"));

/** Tell all other tabs of this server that the operator has signed out. */
export function tellSignedOut() {
  channel?.postMessage(SIGNED_OUT);
}

/** @param {() => void} work  Done whenever the operator has signed out in another tab. */
export function onSignedOut(work) {
  channel?.addEventListener("message", ({ data }) => data === SIGNED_OUT && work());
}
