// The console: one stream tells how the world is, one page at a time shows a part of it, actions go through one dialog.

import { Backoff } from "../../sdk/index.js";
import { EventStream } from "../../sdk/transport/event_stream.js";
import { decodeEvent } from "../../sdk/wire/messages.js";
import { byId, setText } from "../../watch/js/dom.js";
import { BASE } from "../../watch/js/net/api.js";
import { Sessions } from "../../watch/js/net/sessions.js";
import { onSignedOut, tellSignedOut } from "../../watch/js/net/signed_out.js";
import { Announcer } from "../../watch/js/ui/announcer.js";
import { ConnectionState } from "../../watch/js/ui/connection.js";
import { attachTheme } from "../../watch/js/ui/controls.js";
import { clockTime } from "../../watch/js/ui/words.js";
import { Operator, STREAM_PATH } from "./net/operator.js";
import { AgentPage } from "./pages/agent.js";
import { AgentsPage } from "./pages/agents.js";
import { AuditPage } from "./pages/audit.js";
import { ChunksPage } from "./pages/chunks.js";
import { MachinesPage } from "./pages/machines.js";
import { MapPage } from "./pages/map.js";
import { ModerationPage } from "./pages/moderation.js";
import { OperationsPage } from "./pages/operations.js";
import { OverviewPage } from "./pages/overview.js";
import { routeOf } from "./route.js";
import { Board } from "./state/board.js";
import { Confirm } from "./ui/confirm.js";
import { Gate } from "./ui/gate.js";

const PAGES = {
  overview: OverviewPage,
  map: MapPage,
  chunks: ChunksPage,
  machines: MachinesPage,
  agents: AgentsPage,
  agent: AgentPage,
  moderation: ModerationPage,
  operations: OperationsPage,
  audit: AuditPage,
};
const TOPICS = ["overview", "hour", "nodes", "actors", "shards", "chunks", "marks", "moves", "jobs", "moderation", "bans", "audit"];
/** Under which entry of the rail a page is found that has none. */
const WITHIN = { agent: "agents" };

const operator = new Operator();
const announcer = new Announcer();
const connection = new ConnectionState();
const gate = new Gate(operator, opened);
const desk = { operator, board: new Board(), confirm: new Confirm(operator), spectators: new Sessions() };
const changed = new Set();
let shown = { page: "", view: null };
let stream = null;
let frame = 0;

attachTheme(() => shown.view?.restyle?.());
window.addEventListener("hashchange", navigate);
byId("retry-now").addEventListener("click", () => stream?.retryNow());
window.addEventListener("online", () => stream?.retryNow());
document.addEventListener("visibilitychange", () => document.hidden || stream?.retryNow());
window.addEventListener("pagehide", () => stream?.close());
window.addEventListener("pageshow", (event) => event.persisted && operator.me && listen());
byId("sign-out").addEventListener("click", () => {
  signOut(null);
  tellSignedOut();
});
onSignedOut(() => signOut(null));
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  byId("page").focus();
});

start();

async function start() {
  const backoff = new Backoff();
  for (;;) {
    try {
      if (await operator.restore()) opened();
      else gate.close();
      return;
    } catch (error) {
      if (!error.mayPass) {
        gate.close(error);
        return;
      }
      const delayMs = backoff.next(error.retryAfterMs ?? 0);
      connection.show("waiting", delayMs);
      await new Promise((resolve) => setTimeout(resolve, delayMs));
    }
  }
}

function opened() {
  const { name, role } = operator.me;
  gate.open();
  for (const id of ["who", "sign-out"]) byId(id).hidden = false;
  setText(byId("who-name"), name);
  setText(byId("who-role"), role);
  byId("who").title = operator.mayAct ? `${name} may look and act.` : `${name} may look. To act, a token made with --role operator is needed.`;
  desk.board = new Board();
  listen();
  navigate();
}

/** @param {{reason: string} | null} why */
function signOut(why) {
  stream?.close();
  stream = null;
  operator.signOut();
  shown.view?.close();
  desk.spectators.signOut();
  shown = { page: "", view: null };
  byId("page").replaceChildren();
  byId("confirm-dialog").close();
  for (const id of ["who", "sign-out"]) byId(id).hidden = true;
  connection.show("stopped");
  gate.close(why);
}

async function listen() {
  stream?.close();
  const mine = (stream = new EventStream(new URL(STREAM_PATH, BASE), operator.sessions, {
    openTimeoutMs: null,
    awayTimeoutMs: null,
    onPhase: (phase, waitMs) => mine === stream && phaseChanged(phase, waitMs),
  }));
  try {
    for await (const event of mine.events()) {
      if (mine !== stream) return;
      take(decodeEvent(event));
    }
  } catch (error) {
    if (mine === stream) signOut({ reason: error.reason ?? error.why, said: error.said });
  }
}

/** @param {object | null} event  One of a shape nobody thought of must not end the stream. */
function take(event) {
  let topic = null;
  try {
    topic = event && desk.board.feed(event.type, event);
  } catch (error) {
    console.error("event not understood", event.type, error);
  }
  if (topic === null) return;
  changed.add(topic);
  if (!frame) frame = requestAnimationFrame(draw);
}

/** All that has come since the last frame, at once. */
function draw() {
  frame = 0;
  const topics = new Set(changed);
  changed.clear();
  shown.view?.update(topics, false);
}

function phaseChanged(phase, waitMs) {
  // The short while of another try would only flicker.
  if (phase === "connecting" && connection.phase === "waiting") return;
  if (phase === "waiting" && connection.phase === "live") announcer.say(`Connection lost. What is shown is of ${clockTime(desk.board.atMs)}.`);
  if (phase === "live" && stream.connections > 1) announcer.say("Connected again.");
  connection.show(phase, waitMs);
  byId("page").dataset.asOf = desk.board.atMs ? `as of ${clockTime(desk.board.atMs)}` : "";
}

function navigate() {
  if (!operator.me) return;
  const wanted = routeOf(location.hash);
  const { id } = wanted;
  const page = Object.hasOwn(PAGES, wanted.page) ? wanted.page : "overview";
  mark(WITHIN[page] ?? page);
  if (page === shown.page && page === "map") {
    shown.view.goTo(id);
  } else {
    shown.view?.close();
    const root = byId("page");
    root.replaceChildren();
    root.className = `page-${page}`;
    root.scrollTop = 0;
    shown.view = new PAGES[page](desk, id);
    shown.view.mount(root);
    shown.view.update(new Set(TOPICS), true);
  }
  shown.page = page;
  document.title = `${shown.view.title} · Chunkcrawl Console`;
  announcer.say(shown.view.title);
}

function mark(page) {
  for (const entry of byId("rail").children) {
    const here = entry.dataset.page === page;
    if (here) entry.setAttribute("aria-current", "page");
    else entry.removeAttribute("aria-current");
    if (here) entry.scrollIntoView({ block: "nearest", inline: "nearest" });
  }
}
