// Figures and words for people, in one place.

import { clockTime, reasonText } from "../../../watch/js/ui/words.js";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
const NONE = "–";

/** Refusals as sentences that name the remedy. A Map: a code may be any text. */
const REASONS = new Map(Object.entries({
  account_not_found: "There is no such account.",
  agent_not_found: "There is no such agent.",
  backup_not_found: "That backup is not in this gateway’s backup directory any more.",
  chunk_not_found: "There is no such chunk any more: empty ones are removed after a while.",
  invalid_request: "The server does not take these values; correct them and try again.",
  invalid_scope: "This token may look, not act. Ask for one that was made with --role operator.",
  invalid_token: "This token has expired, was revoked, or never was. Make a new one: chunkcrawl operator create NAME --role operator.",
  node_not_found: "There is no such node any more.",
  not_banned: "There is no such ban any more.",
  not_local: "The fixed token is for pages of the server’s own machine. Make a real one: chunkcrawl operator create NAME --role operator.",
  operators_closed: "No operator exists yet, so this is closed. On the server: chunkcrawl operator create NAME --role operator.",
  rate_limited: "Too many requests; wait a moment and try again.",
  server_unreachable: "The server does not answer. Is it running? Try again when it is.",
  shard_not_found: "There is no such shard any more.",
  unavailable: "A part of the server is away at the moment; try again when it is back.",
}));

/** @param {{reason: string, said?: string, faults?: {field: string, rule: string}[]}} refusal */
export function refusalText({ reason, said, faults = [] }) {
  const wrong = faults.map(({ field, rule }) => `${field} ${rule}`).join("; ");
  return said || (wrong && `The server does not take this: ${wrong}.`) || (REASONS.get(reason) ?? reasonText(reason));
}

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const fine = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });

/** A count or a rate: one decimal below a hundred. */
export function figure(value) {
  if (!Number.isFinite(value)) return NONE;
  return (Math.abs(value) < 100 ? fine : whole).format(value);
}

export function ms(value) {
  if (!Number.isFinite(value)) return NONE;
  return value >= 10_000 ? `${figure(value / 1000)} s` : `${figure(value)} ms`;
}

/** A share of one, such as of a core. */
export function percent(value) {
  return Number.isFinite(value) ? `${whole.format(value * 100)} %` : NONE;
}

/** Microseconds of a core in a second, as a share of it. */
export function load(costUs) {
  if (!Number.isFinite(costUs)) return NONE;
  const share = costUs / 10_000;
  return `${share < 10 ? share.toFixed(1) : whole.format(share)} %`;
}

export function bytes(value) {
  if (!Number.isFinite(value)) return NONE;
  for (const [unit, size] of [["GB", 1e9], ["MB", 1e6], ["kB", 1e3]]) if (value >= size) return `${figure(value / size)} ${unit}`;
  return `${value} B`;
}

/** A duration: "8 s", "10 min", "3 h", "2 days". */
export function span(durationMs) {
  if (!Number.isFinite(durationMs)) return NONE;
  if (durationMs < MINUTE_MS) return `${Math.max(0, Math.round(durationMs / 1000))} s`;
  if (durationMs < HOUR_MS) return `${Math.round(durationMs / MINUTE_MS)} min`;
  if (durationMs < 2 * DAY_MS) return `${Math.round(durationMs / HOUR_MS)} h`;
  return `${Math.round(durationMs / DAY_MS)} days`;
}

const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const DATE = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });

/** A moment: today's by the clock, others with their day. */
export function moment(atMs, nowMs = Date.now()) {
  if (!Number.isFinite(atMs)) return NONE;
  const clock = clockTime(atMs);
  return Math.abs(nowMs - atMs) < 12 * HOUR_MS ? clock : `${DAY.format(atMs)}, ${clock.slice(0, 5)}`;
}

/** The same in full, for a title. */
export function fullMoment(atMs) {
  return Number.isFinite(atMs) ? DATE.format(atMs) : "";
}

/** "rate_limited" as "rate limited". */
export function plain(code) {
  return code === null || code === undefined ? NONE : String(code).replaceAll("_", " ");
}

const DOING = new Map(Object.entries({ move_to: "walking", harvest: "harvesting", say: "talking", give: "giving" }));

/** What an agent does, as its command says. */
export function doingText(doing) {
  return doing ? (DOING.get(doing) ?? plain(doing)) : "nothing";
}

/** A value of unknown shape in one line. */
export function inLine(details) {
  if (details === null || typeof details !== "object") return String(details ?? "");
  const told = Object.entries(details).filter(([, value]) => value !== null);
  const parts = told.map(([name, value]) => `${plain(name)} ${typeof value === "object" ? JSON.stringify(value) : value}`);
  return parts.join(" · ");
}
