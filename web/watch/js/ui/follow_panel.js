// The owner's view of one agent: where it is, what it carries, and every command.

import { byId, el, reconcile, setText } from "../dom.js";
import { paintToken } from "./token.js";
import { activityText, commandReason, commandText, counted } from "./words.js";

const STATE_WORDS = { challenged: "challenged", running: "running", refused: "refused", completed: "done", failed: "failed" };

/** What is not told of a command before, or without, its acceptance. */
const WITHOUT_WORDS = { challenged: "A new command", refused: "A command" };

export class FollowPanel {
  #input = byId("follow-id");
  #looks;

  /**
   * @param {import("../state/looks.js").Looks} looks
   * @param {(agentId: string) => void} follow
   * @param {() => void} stop
   */
  constructor(looks, follow, stop) {
    this.#looks = looks;
    byId("follow-form").addEventListener("submit", (event) => {
      event.preventDefault();
      const wanted = this.#input.value.trim();
      if (/^[A-Za-z0-9_.-]{1,128}$/.test(wanted)) follow(wanted);
      else this.problem("An agent's name has letters, digits, dots, dashes and underscores.");
    });
    this.#input.addEventListener("input", () => this.problem(""));
    byId("unfollow").addEventListener("click", stop);
  }

  /** @param {string} text  "" for none. */
  problem(text) {
    const place = byId("follow-problem");
    place.hidden = !text;
    setText(place, text);
    this.#input.setAttribute("aria-invalid", String(Boolean(text)));
  }

  /** Names to choose from. */
  suggest(names, own) {
    byId("known-agents").replaceChildren(...names.map((name) => el("option", { value: name })));
    if (own && names.length && !this.#input.value) this.#input.value = names[0];
  }

  /** @param {string | null} agentId  Who is followed from now on. */
  begin(agentId) {
    byId("follow-form").hidden = agentId !== null;
    byId("followed").hidden = agentId === null;
    setText(byId("follow-title"), agentId === null ? "Follow an agent" : "Following");
    document.body.classList.toggle("following", agentId !== null);
    this.problem("");
    if (agentId === null) return;
    this.#name(agentId);
    setText(byId("followed-place"), "");
    for (const name of ["gold", "activity", "cell"]) setText(byId(`stat-${name}`), "–");
    byId("commands").replaceChildren();
    byId("commands").classList.add("empty");
    byId("commands").dataset.note = "No command yet.";
  }

  /** It can't be followed: another name may be tried. */
  refuse(agentId, text) {
    this.begin(null);
    this.#input.value = agentId;
    this.problem(text);
  }

  /** Where it is. @param {import("../../../sdk/index.js").WorldView} worldView */
  place(agentId, worldView, online) {
    const me = worldView.agents.get(agentId);
    setText(byId("followed-place"), online ? `in ${worldView.chunkId ?? "…"}` : "not in the world now");
    setText(byId("stat-activity"), me ? activityText(me.activity) : "–");
    setText(byId("stat-cell"), me ? `${me.x}, ${me.y}` : "–");
    this.#name(agentId);
  }

  #name(agentId) {
    const look = this.#looks.of(agentId);
    paintToken(byId("followed-token"), look);
    setText(byId("followed-name"), look.full);
  }

  gold(amount) {
    const place = byId("stat-gold");
    const before = place.textContent;
    setText(place, amount.toLocaleString("en"));
    if (before !== "–" && before !== place.textContent) {
      place.classList.remove("gained");
      // Reading a size makes the browser notice that it was gone.
      void place.offsetWidth;
      place.classList.add("gained");
    }
  }

  /** @param {import("../state/commands.js").CommandLog} log */
  commands(log) {
    const list = byId("commands");
    const commands = log.newestFirst;
    list.classList.toggle("empty", commands.length === 0);
    reconcile(list, commands, ({ id }) => id, makeCommand, fillCommand);
  }
}

function makeCommand() {
  return el("li", { class: "command" }, el("span", { class: "command-what" }), el("span", { class: "command-state" }), el("span", { class: "command-more" }));
}

function fillCommand(node, command) {
  const [what, state, more] = node.children;
  node.dataset.state = command.state;
  node.dataset.type = command.what?.type ?? "";
  setText(what, WITHOUT_WORDS[command.state] ?? commandText(command.what));
  setText(state, STATE_WORDS[command.state]);
  setText(more, detailsOf(command));
}

function detailsOf({ state, reason, code, blocker, blockedAt, harvested, startedTick, endedTick, difficulty }) {
  const parts = [];
  if (reason) parts.push(commandReason(reason, code));
  if (reason === "blocked" && blocker?.id) parts[parts.length - 1] = `blocked by ${blocker.id}`;
  if (harvested) parts.unshift(`${harvested} gold`);
  if (blockedAt) parts.push(`at ${blockedAt.x}, ${blockedAt.y}`);
  if (startedTick !== null && endedTick !== null) {
    const ticks = endedTick - startedTick;
    if (ticks > 0) parts.push(counted(ticks, "tick"));
  } else if (state === "running") {
    parts.push(`since tick ${startedTick}`);
  } else if (state === "challenged" && difficulty !== null) {
    parts.push(`proof of ${difficulty} zeroes`);
  }
  return parts.join(" · ");
}
