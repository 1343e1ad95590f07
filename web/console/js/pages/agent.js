// One agent: where it is and what it did, its sessions, its strikes, and what can be done about it.

import { el, setText } from "../../../watch/js/dom.js";
import { hrefOf, inPath } from "../route.js";
import { ban, disconnect, mute, revokeSessions, unban, unmute } from "../ui/actions.js";
import { actionButton } from "../ui/confirm.js";
import { badge, emptyNote, facts, link, pageHead, panel } from "../ui/parts.js";
import { doingText, figure, fullMoment, inLine, moment, plain, refusalText, span } from "../ui/words.js";
import { agentName } from "./agents.js";

const FACTS = [
  ["where", "Where"], ["doing", "Doing"], ["inventory", "Carries"], ["account", "Account"], ["difficulty", "Proof of work"], ["strikes", "Strikes"],
];

export class AgentPage {
  #desk;
  #agentId;
  #agent = null;
  #alive = true;
  #states = el("span", { class: "badges" });
  #actions = el("div", { class: "actions" });
  #facts = facts(FACTS);
  #sessions = el("ul", { class: "lines" });
  #history = el("ol", { class: "lines history" });
  #ban = el("div", { class: "banner banner-bad", hidden: true });
  #problem = el("p", { class: "problem", role: "alert", hidden: true });

  constructor(desk, agentId) {
    this.#desk = desk;
    this.#agentId = agentId ?? "";
    this.title = this.#agentId;
  }

  mount(root) {
    const head = pageHead("");
    head.firstElementChild.replaceWith(el("h1", { class: "agent-title" }, agentName(this.#agentId)));
    head.append(this.#states);
    const refresh = el("button", { type: "button", class: "button quiet small push" }, "Refresh");
    refresh.addEventListener("click", () => this.load());
    head.append(refresh);
    const back = link(hrefOf("agents"), "← Agents", "back");
    root.append(back, head, this.#problem, this.#ban, this.#actions, el("div", { class: "two" },
      el("div", { class: "stack" }, panel("Now", "", this.#facts.node).node, panel("Sessions", "", this.#sessions).node),
      panel("Last commands and results", "", this.#history).node,
    ));
    this.load();
  }

  close() {
    this.#alive = false;
  }

  /** Mutes, bans and what was done come by the stream; then the rest is asked for anew. */
  update(topics, first) {
    if (!first && (topics.has("moderation") || topics.has("bans"))) this.load();
  }

  async load() {
    try {
      const agent = await this.#desk.operator.ask(`agents/${inPath(this.#agentId)}`);
      if (!this.#alive) return;
      this.#agent = agent;
      this.#problem.hidden = true;
      this.#draw();
    } catch (error) {
      if (!this.#alive) return;
      this.#problem.hidden = false;
      setText(this.#problem, refusalText(error));
    }
  }

  #draw() {
    const agent = this.#agent;
    const { standing } = agent;
    const muted = (standing?.muted_ms ?? 0) > 0;
    this.#states.replaceChildren(
      agent.here ? badge(agent.connected ? "connected" : "away", agent.connected ? "good" : "calm") : badge("not in the world", "calm"),
      ...(muted ? [badge(`muted for ${span(standing.muted_ms)}`, "warn")] : []),
      ...(agent.ban || agent.account_ban ? [badge("banned", "bad")] : []),
    );
    const where = agent.chunk_id ? el("span", {}, link(hrefOf("map", agent.chunk_id), agent.chunk_id), ` at ${agent.x}, ${agent.y}`) : "nowhere";
    this.#facts.show({
      where,
      doing: doingText(agent.doing),
      inventory: Object.entries(agent.inventory ?? {}).map(([what, count]) => `${figure(count)} ${what}`).join(", ") || "nothing",
      account: agent.account_id ?? "–",
      difficulty: Number.isFinite(agent.difficulty) ? `${agent.difficulty} leading zeroes` : "–",
      strikes: strikesText(standing),
    });
    this.#drawBan(agent.ban ?? agent.account_ban);
    this.#drawActions(muted);
    this.#sessions.replaceChildren(...(agent.sessions ?? []).map(sessionLine));
    if (!agent.sessions?.length) this.#sessions.replaceChildren(el("li", {}, emptyNote("It has no session.")));
    this.#history.replaceChildren(...(agent.history ?? []).map(historyLine));
    if (!agent.history?.length) this.#history.replaceChildren(el("li", {}, emptyNote("Nothing is kept of it yet.")));
  }

  #drawBan(found) {
    this.#ban.hidden = !found;
    if (!found) return;
    const until = found.until_ms ? `until ${moment(found.until_ms)}` : "until it is lifted";
    const whom = found.kind === "account" ? `Its account ${found.subject} is banned` : "It is banned";
    this.#ban.replaceChildren(el("p", {}, el("b", {}, `${whom} ${until}`), ` by ${found.by}: “`, el("bdi", {}, found.reason), "”"));
  }

  #drawActions(muted) {
    const { operator, confirm } = this.#desk;
    const id = this.#agentId;
    const agent = this.#agent;
    const button = (label, actionOf, kind) => actionButton(operator, confirm, label, actionOf, kind);
    const account = agent.account_id;
    this.#actions.replaceChildren(
      muted ? button("Unmute", () => unmute(id)) : button("Mute", () => mute(id)),
      agent.ban ? button("Lift the ban", () => unban("agent", id)) : button("Ban", () => ban("agent", id), "danger small"),
      ...(account ? [agent.account_ban ? button("Lift the account’s ban", () => unban("account", account)) : button("Ban its account", () => ban("account", account))] : []),
      button("Disconnect", () => disconnect(id)),
      button("Revoke sessions", () => revokeSessions(id)),
    );
  }
}

function strikesText(standing) {
  if (!standing?.strikes) return "none";
  return `${standing.strikes}${Number.isFinite(standing.forgets_in_ms) ? `, forgotten in ${span(standing.forgets_in_ms)}` : ""}`;
}

function sessionLine({ session_jti: jti, role, created_at_ms: at, expires_at_ms: until, revoked, alive }) {
  const state = revoked ? "revoked" : alive ? "alive" : "ended";
  const main = el("span", { class: "line-main" }, plain(role));
  const more = `opened ${moment(at)}${alive ? ` · ends in ${span(until - Date.now())}` : ""}`;
  return el("li", { class: "line", title: jti }, main, badge(state, alive && !revoked ? "good" : "calm"), el("span", { class: "line-more" }, more));
}

function historyLine({ at_ms: at, tick, chunk_id: chunk, kind, details }) {
  const { what, outcome, more } = wordsOf(kind, details ?? {});
  const state = outcome === null ? null : badge(plain(outcome), OUTCOMES[outcome] ?? "warn");
  return el(
    "li",
    { class: "line" },
    el("span", { class: "line-main" }, el("bdi", {}, what)),
    state,
    el("span", { class: "line-where" }, el("bdi", {}, chunk ?? "")),
    el("time", { title: `${fullMoment(at)}, tick ${tick}` }, moment(at)),
    more ? el("span", { class: "line-more" }, el("bdi", {}, more)) : null,
  );
}

const OUTCOMES = { completed: "good" };

/** What somebody did, how it ended if it was a command, and the rest of it in a line. */
function wordsOf(kind, details) {
  const { command, asked, status, reason, server_cmd_id: _server, client_cmd_id: _client, text, ...rest } = details;
  switch (kind) {
    case "result":
      return { what: `${plain(command)} ${inLine(asked ?? {})}`, outcome: reason ?? status ?? null, more: inLine(rest) };
    case "chat":
    case "thought":
      return { what: `${kind === "chat" ? "said" : "thought"} “${text}”`, outcome: null, more: inLine(rest) };
    case "crossing":
      return { what: `went to ${details.to_chunk_id}`, outcome: null, more: "" };
    case "harvest":
      return { what: `harvested ${details.amount} gold`, outcome: null, more: "" };
    case "give":
      return { what: `gave ${details.amount} gold to ${details.to}`, outcome: null, more: "" };
    case "join":
      return { what: "came into the world", outcome: null, more: "" };
    case "leave":
      return { what: "left the world", outcome: null, more: "" };
    default:
      return { what: plain(kind), outcome: null, more: inLine(details) };
  }
}
