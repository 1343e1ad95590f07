// The page: what comes from the streams goes to the map and the panels, what people do goes to the streams.

import { Backoff } from "../../sdk/index.js";
import { byId } from "./dom.js";
import { attachHands } from "./map/hands.js";
import { Neighbours } from "./map/neighbours.js";
import { Stage } from "./map/stage.js";
import { Sessions } from "./net/sessions.js";
import { onSignedOut } from "./net/signed_out.js";
import { PastApi } from "./net/past_api.js";
import { Past } from "./past.js";
import { momentHash, noteMoment, routeOf, toAgent, toChunk } from "./route.js";
import { Scene } from "./scene.js";
import { AboutSheet } from "./sheets/about.js";
import { LeadersSheet } from "./sheets/leaders.js";
import { Sheets } from "./sheets/sheets.js";
import { AccessDialog } from "./ui/access_dialog.js";
import { AgentList } from "./ui/agent_list.js";
import { Announcer, toast } from "./ui/announcer.js";
import { ChosenCard } from "./ui/chosen_card.js";
import { ConnectionState } from "./ui/connection.js";
import { attachHelp, attachKeys, attachTabs, attachTheme, attachZoom, showTab } from "./ui/controls.js";
import { Doors } from "./ui/doors.js";
import { FindForm } from "./ui/find_form.js";
import { FollowPanel } from "./ui/follow_panel.js";
import { NewsList } from "./ui/news_list.js";
import { WorldList } from "./ui/world_list.js";
import { Looks } from "./state/looks.js";
import { News } from "./state/news.js";
import { Trails } from "./state/trails.js";
import { StillView } from "./still_view.js";
import { PastPages } from "./time/pages.js";
import { TimeLine } from "./time/time_line.js";
import { TimeBar } from "./ui/time_bar.js";
import { View } from "./view.js";

const sessions = new Sessions();
const news = new News();
const looks = new Looks();
const pastApi = new PastApi(sessions);
const ownAgents = new Set();
let view = null;
const SOUGHT_FOR_MS = 15_000;
/** Who is to be chosen as soon as it is seen, and until when. */
let sought = { agentId: null, until: 0 };
/** What is known of the past of the chunk that was looked at last. */
let pages = { chunkId: null, known: null };
/** Who was followed before one looked back. */
let followedBefore = null;

const parts = {
  sessions,
  news,
  looks,
  announcer: new Announcer(),
  connection: new ConnectionState(),
  newsList: new NewsList(news, looks),
  access: new AccessDialog(sessions, accessOpened, reopen),
  world: new WorldList(sessions, toChunk, countsChanged),
  doors: new Doors(byId("doors"), goThrough, [...document.querySelectorAll(".place, .legend, .zoom, .chosen")]),
  agentList: new AgentList(looks, chooseFromList, follow, canFollow),
  followPanel: new FollowPanel(looks, follow, stopFollowing),
  chosenCard: new ChosenCard(looks, follow, () => choose(null), canFollow),
  trails: new Trails(),
  past: new Past(sessions),
  neighbours: new Neighbours(sessions, (terrains) => parts.stage.setBeside(terrains)),
  stage: null,
  scene: null,
  time: null,
  pagesOf,
  arrived,
  agentsIn,
  reopen,
};
parts.stage = new Stage(byId("stage"), byId("canvas"), byId("bubbles"), looks, parts.trails, () => parts.doors.place(parts.stage.camera));

parts.scene = new Scene(parts);
parts.time = new TimeLine(pastApi, { lookBack, play, live: toPresent, stepTo, note: noteAddress }, () => timeBar.draw());
const timeBar = new TimeBar(parts.time, () => new URL(momentHash(parts.time.chunkId, parts.time.at), location.href).href);

const settle = attachHands(byId("canvas"), parts.stage, choose);
attachZoom(parts.stage, settle);
attachTheme(() => parts.stage.restyle());
attachTabs();
attachHelp();
attachKeys((side) => parts.doors.through(side), letGo);
attachMotion();

const sheets = new Sheets({ leaders: new LeadersSheet(sessions, looks), about: new AboutSheet(sessions, looks, visit) });
new FindForm(sessions, looks, visit);

window.addEventListener("hashchange", addressChanged);
byId("retry-now").addEventListener("click", () => view?.retryNow());
window.addEventListener("online", () => view?.retryNow());
document.addEventListener("visibilitychange", () => document.hidden || view?.retryNow());
window.addEventListener("pagehide", () => view?.close());
window.addEventListener("pageshow", (event) => event.persisted && reopen());
onSignedOut(() => sessions.signOut() && reopen());
byId("follow-id").addEventListener("focus", suggest);
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  byId("stage").focus();
});

start();

async function start() {
  const backoff = new Backoff();
  for (;;) {
    try {
      await sessions.restore();
      break;
    } catch (error) {
      const delayMs = backoff.next(error.retryAfterMs ?? 0);
      parts.connection.show("waiting", delayMs);
      await new Promise((resolve) => setTimeout(resolve, delayMs));
    }
  }
  await accessChanged();
  reopen();
  parts.world.poll();
}

/** A sheet over the map comes and goes without the map noticing. */
function addressChanged() {
  const wasOpen = sheets.isOpen;
  if (sheets.show(location.hash)) return;
  const route = routeOf(location.hash);
  if (wasOpen && view?.shows(route)) return;
  reopen();
}

/** Look at what the address says. */
function reopen() {
  view?.close();
  sheets.show(location.hash);
  const route = routeOf(sheets.mapHash);
  followedBefore = null;
  view = route.tick === null ? new View(route, parts) : new StillView(route, parts);
  view.open();
}

/** Look at a moment of the chunk that is looked at. */
function lookBack(tick) {
  if (view instanceof StillView && view.chunkId === parts.time.chunkId) {
    view.seek(tick);
    return;
  }
  followedBefore = view?.agentId ?? followedBefore;
  change(new StillView({ chunkId: parts.time.chunkId, tick }, parts));
}

/** Let time go on from a moment. */
function play(tick, speed) {
  const { chunkId } = parts.time;
  const news = view.news;
  change(new View({ chunkId, agentId: null }, parts, { fromTick: tick + 1, speed, news }));
  parts.connection.show("past");
  parts.time.playing(chunkId, tick);
}

function toPresent() {
  if (followedBefore) toAgent(followedBefore);
  else toChunk(parts.time.chunkId);
}

function stepTo(way) {
  return view instanceof StillView ? view.stepTo(way) : null;
}

function change(next) {
  view?.close();
  view = next;
  view.open();
}

/** What is shown already is put into the address: a link to it, and where a closed sheet leads back to. */
function noteAddress(tick, anew) {
  if (sheets.isOpen) return;
  noteMoment(parts.time.chunkId, tick, anew);
  sheets.mapHash = location.hash;
}

/** @returns {PastPages} What is known of a chunk's past; of one chunk at a time. */
function pagesOf(chunkId) {
  if (pages.chunkId !== chunkId) pages = { chunkId, known: new PastPages(chunkId, (...asked) => pastApi.page(...asked)) };
  return pages.known;
}

/** Look at an agent where it is. */
function visit(chunkId, agentId) {
  sought = { agentId, until: performance.now() + SOUGHT_FOR_MS };
  toChunk(chunkId);
}

/** What is in sight is known. */
function arrived(worldView) {
  const { agentId, until } = sought;
  if (agentId === null || !worldView.agents.has(agentId)) return;
  sought = { agentId: null, until: 0 };
  if (performance.now() > until) return;
  choose(agentId);
  parts.stage.approach();
  settle();
}

async function accessOpened() {
  await accessChanged();
  toast("Access granted.");
  if (sessions.kind === "token" && sessions.agentId) toAgent(sessions.agentId);
  else if (sessions.kind === "token" && view.agentId) toChunk("demo");
  else reopen();
}

async function accessChanged() {
  ownAgents.clear();
  try {
    for (const name of await sessions.ownAgents()) ownAgents.add(name);
  } catch {
    // Suggestions only.
  }
  suggest();
}

function suggest() {
  const here = sessions.followsAnyone && view ? [...view.worldView.agents.keys()] : [];
  parts.followPanel.suggest(ownAgents.size ? [...ownAgents] : here, ownAgents.size > 0);
}

/** A door is as wide as what it says. */
function countsChanged() {
  if (!view) return;
  parts.doors.update(view.worldView, agentsIn);
  parts.doors.place(parts.stage.camera);
}

function agentsIn(chunkId) {
  // What is known is how many there are now.
  return parts.time.mode === "live" ? parts.world.agentsIn(chunkId) : null;
}

function goThrough(side, there) {
  if (view?.agentId) toast(`No longer following ${view.agentId}.`);
  parts.stage.leaving = side;
  // Who looks at the past sees what was behind the door then.
  toChunk(there, parts.time.mode === "live" ? null : parts.time.at);
}

function canFollow(agentId) {
  return parts.time.mode === "live" && agentId !== view?.agentId && (sessions.followsAnyone || ownAgents.has(agentId));
}

function follow(agentId) {
  toAgent(agentId);
  showTab("follow");
}

function stopFollowing() {
  toChunk(view?.worldView.chunkId ?? "demo");
  showTab("agents");
}

/** Choose an agent, or none; the followed one is chosen when no other is. */
function choose(agentId) {
  view?.choose(agentId);
}

function chooseFromList(agentId) {
  choose(parts.stage.chosen === agentId ? null : agentId);
  if (parts.stage.chosen === agentId) parts.stage.approach();
  settle();
}

function letGo() {
  if (parts.stage.chosen && parts.stage.chosen !== view?.agentId) choose(null);
  else if (view?.agentId) stopFollowing();
}

/** Who wants less motion gets none. */
function attachMotion() {
  const less = matchMedia("(prefers-reduced-motion: reduce)");
  const apply = () => {
    parts.stage.smooth = !less.matches;
    parts.stage.invalidate();
  };
  less.addEventListener("change", apply);
  apply();
}
