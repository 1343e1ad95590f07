// The console: one stream tells how the world is, one page at a time shows a part of it, actions go through one dialog.

import { byId, setText } from "../../watch/js/dom.js";
import { Backoff } from "../../watch/js/net/backoff.js";
import { Sessions } from "../../watch/js/net/sessions.js";
import { EventStream } from "../../watch/js/net/stream.js";
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
let shown = { page: "", id: null, view: null };
let stream = null;
let frame = 0;

attachTheme(() => shown.view?.restyle?.());
window.addEventListener("hashchange", navigate);
byId("retry-now").addEventListener("click", () => stream?.retryNow());
window.addEventListener("online", () => stream?.retryNow());
document.addEventListener("visibilitychange", () => document.hidden || stream?.retryNow());
window.addEventListener("pagehide", () => stream?.close());
window.addEventListener("pageshow", (event) => event.persisted && operator.me && listen());
byId("sign-out").addEventListener("click", () => signOut(null));
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
      const delayMs = backoff.next(error.retryAfterMs);
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
  shown = { page: "", id: null, view: null };
  byId("page").replaceChildren();
  byId("confirm-dialog").close();
  for (const id of ["who", "sign-out"]) byId(id).hidden = true;
  connection.show("stopped");
  gate.close(why);
}

function listen() {
  stream?.close();
  stream = new EventStream(STREAM_PATH, null, operator, {
    event: (type, data) => take(type, data),
    phase: (phase, waitMs) => phaseChanged(phase, waitMs),
    refused: (error) => signOut({ reason: error.reason ?? error.why, text: error.text }),
  });
  stream.run();
}

function take(type, data) {
  const topic = desk.board.feed(type, data);
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
  shown.id = id;
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
