// What is done to the world as a whole: its size, its standing still, its backups, and who may do that.

import { el, reconcile, setText } from "../../../watch/js/dom.js";
import { announce, backup, freezeWorld, fsck, rebalance, revokeOperator, scale, thawWorld, verify } from "../ui/actions.js";
import { actionButton } from "../ui/confirm.js";
import { badge, emptyNote, pageHead, panel, stateBadge } from "../ui/parts.js";
import { Table } from "../ui/table.js";
import { bytes, figure, moment, plain, refusalText, span } from "../ui/words.js";

const JOBS_MAX = 6;

export class OperationsPage {
  title = "Operations";
  #desk;
  #cards = el("div", { class: "cards" });
  #jobs = el("ol", { class: "lines" });
  #backups;
  #operators;
  #done = "";
  #alive = true;
  #problem = el("p", { class: "problem", role: "alert", hidden: true });
  #texts = new Map();

  constructor(desk) {
    this.#desk = desk;
    this.#backups = backupTable(desk);
    this.#operators = operatorTable(desk);
  }

  mount(root) {
    this.#makeCards();
    const jobs = panel("Jobs", "", this.#jobs);
    const backups = panel("Backups", "table-panel", this.#backups.node);
    backups.head.append(el("span", { class: "panel-note" }, "in the directory of the gateway that answers"), this.#button("Back up now", backup, "small push"));
    root.append(pageHead("Operations"), this.#problem, this.#cards, el("div", { class: "two wide-left" }, backups.node, jobs.node), panel("Operators", "table-panel", this.#operators.node).node);
    this.#load();
  }

  close() {
    this.#alive = false;
    this.#backups.close();
    this.#operators.close();
  }

  update(topics) {
    if (topics.has("overview") || topics.has("marks") || topics.has("nodes")) this.#drawCards();
    if (topics.has("jobs")) this.#drawJobs();
  }

  #button(label, actionOf, className) {
    const { operator, confirm } = this.#desk;
    return actionButton(operator, confirm, label, actionOf, className);
  }

  #card(id, title, ...buttons) {
    const text = el("p", {}, "–");
    this.#texts.set(id, text);
    return el("section", { class: "card", "aria-label": title }, el("h2", {}, title), text, el("div", { class: "card-buttons" }, ...buttons));
  }

  #makeCards() {
    const { board } = this.#desk;
    const isFrozen = () => board.marks.worldFrozen;
    this.freezeButton = this.#button("Freeze the world", () => (isFrozen() ? thawWorld() : freezeWorld(board.overview?.figures.agents ?? 0)));
    this.#cards.append(
      this.#card("size", "Size", this.#button("Scale", () => scale(board.overview?.world ?? { wanted_shards: board.shards.length, bounds: null })), this.#button("Rebalance", rebalance)),
      this.#card("nodes", "Nodes", el("a", { class: "button quiet small", href: "#/machines" }, "Drain a node")),
      this.#card("time", "Time", this.freezeButton),
      this.#card("voice", "Voice", this.#button("Announce", () => announce(board.overview?.figures.connections ?? 0))),
      this.#card("health", "Consistency", this.#button("Check the world", fsck)),
    );
  }

  #drawCards() {
    const { overview, nodes, marks } = this.#desk.board;
    const say = (id, text) => setText(this.#texts.get(id), text);
    if (overview) {
      const { world, figures, moving } = overview;
      const bounds = world.bounds ? `, ${world.bounds[0]} to ${world.bounds[1]} by load` : "";
      say("size", `${figure(world.shards)} of ${figure(world.wanted_shards)} shards${bounds}. ${moving?.to_move ? `${figure(moving.to_move)} chunks to move.` : "Nothing has to move."}`);
      say("voice", `A line for everybody: ${figure(figures.connections)} connections.`);
    }
    const drained = nodes.filter((node) => node.drained);
    say("nodes", `${nodes.filter((node) => node.alive).length} alive${drained.length ? `, drained: ${drained.map(({ name }) => name).join(", ")}` : ", none drained"}.`);
    const frozen = marks.worldFrozen ? "The whole world stands still." : marks.frozen.size ? `${figure(marks.frozen.size)} chunks stand still, the others go on.` : "The world goes on.";
    say("time", frozen);
    setText(this.freezeButton, marks.worldFrozen ? "Thaw the world" : "Freeze the world");
    say("health", "Compares everything in Redis with itself, read-only.");
  }

  #drawJobs() {
    const rows = this.#desk.board.jobs.slice(0, JOBS_MAX);
    reconcile(this.#jobs, rows, ({ job_id: id }) => id, jobLine, fillJob);
    if (rows.length === 0) this.#jobs.replaceChildren(el("li", {}, emptyNote("Nothing has been backed up or checked of late.")));
    // A backup that has ended is one more in the list.
    const done = rows.filter(({ state }) => state !== "running").map(({ job_id: id }) => id).join(" ");
    if (done !== this.#done) {
      this.#done = done;
      this.#load();
    }
  }

  async #load() {
    try {
      const { operator } = this.#desk;
      const [backups, operators] = await Promise.all([operator.ask("backups"), operator.ask("operators")]);
      if (!this.#alive) return;
      this.#problem.hidden = true;
      this.#backups.show(backups.rows);
      this.#operators.show(operators.rows);
    } catch (error) {
      if (!this.#alive) return;
      this.#problem.hidden = false;
      setText(this.#problem, refusalText(error));
    }
  }
}

function jobLine({ kind, name }) {
  const main = el("span", { class: "line-main" }, el("bdi", {}, `${plain(kind)}${name ? ` ${name}` : ""}`));
  const progress = el("progress", { max: 100, "aria-label": "Progress" });
  return el("li", { class: "line job" }, main, el("span", { class: "job-state" }), progress, el("span", { class: "line-more" }));
}

function fillJob(node, { state, step, percent, text, by, at_ms: at, ended_ms: ended }) {
  const [, place, progress, more] = node.children;
  place.replaceChildren(stateBadge(state));
  progress.hidden = state !== "running";
  progress.value = percent ?? 0;
  const when = ended ? `${moment(ended)}, took ${span(ended - at)}` : `since ${moment(at)}`;
  setText(more, [state === "running" ? `${plain(step)}, ${figure(percent)} %` : text, `by ${by}`, when].filter(Boolean).join(" · "));
}

function backupTable({ operator, confirm }) {
  return new Table({
    label: "Backups",
    columns: [
      { id: "name", label: "Backup", width: "minmax(16ch, 1.4fr)", text: ({ name }) => name, value: ({ name }) => name },
      { id: "at", label: "Made", width: "minmax(12ch, .9fr)", text: ({ at_ms: at }) => moment(at), value: ({ at_ms: at }) => at, end: true },
      { id: "bytes", label: "Size", width: "minmax(8ch, .6fr)", text: ({ bytes: size }) => bytes(size), value: ({ bytes: size }) => size, end: true, wide: true },
      { id: "chunks", label: "Chunks", width: "minmax(8ch, .6fr)", text: ({ chunks }) => figure(chunks), value: ({ chunks }) => chunks, end: true, wide: true },
      { id: "agents", label: "Agents", width: "minmax(8ch, .6fr)", text: ({ agents }) => figure(agents), value: ({ agents }) => agents, end: true, wide: true },
      { id: "act", label: "", width: "92px", text: () => "verify", node: ({ name }) => actionButton(operator, confirm, "Verify", () => verify(name), "quiet tiny"), end: true },
    ],
    keyOf: ({ name }) => name,
    sort: { by: "at", descending: true },
    empty: "No backup lies here yet.",
  });
}

function operatorTable({ operator, confirm }) {
  const state = ({ revoked_at_ms: revoked, expires_at_ms: until }) => (revoked ? "revoked" : until && until < Date.now() ? "expired" : "valid");
  return new Table({
    label: "Operators",
    columns: [
      { id: "name", label: "Name", width: "minmax(12ch, 1.2fr)", text: ({ name }) => name, value: ({ name }) => name },
      { id: "role", label: "Role", width: "minmax(10ch, .7fr)", text: ({ role }) => role, value: ({ role }) => role },
      { id: "state", label: "Token", width: "minmax(9ch, .7fr)", text: state, node: (row) => badge(state(row), state(row) === "valid" ? "good" : "calm"), value: state, wide: true },
      { id: "created", label: "Made", width: "minmax(12ch, .8fr)", text: ({ created_at_ms: at }) => moment(at), value: ({ created_at_ms: at }) => at, end: true, wide: true },
      { id: "expires", label: "Ends", width: "minmax(12ch, .8fr)", text: ({ expires_at_ms: until }) => (until ? moment(until) : "never"), value: ({ expires_at_ms: until }) => until ?? Infinity, end: true, wide: true },
      { id: "act", label: "", width: "96px", text: (row) => state(row), node: (row) => (state(row) === "valid" ? actionButton(operator, confirm, "Revoke", () => revokeOperator(row), "quiet tiny") : el("span", {})), end: true },
    ],
    keyOf: ({ operator_id: id }) => String(id),
    sort: { by: "name", descending: false },
    empty: "No operator has a token of their own yet: chunkcrawl operator create NAME.",
  });
}
