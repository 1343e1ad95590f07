// How the world is, at a glance: health, figures, the last hour, and what is slow, refused or on the move.

import { el, reconcile, setText } from "../../../watch/js/dom.js";
import { counted } from "../../../watch/js/ui/words.js";
import { hrefOf } from "../route.js";
import { emptyNote, link, pageHead, panel, stateBadge } from "../ui/parts.js";
import { Plot, sparkline } from "../ui/plot.js";
import { figure, ms, percent, plain, span } from "../ui/words.js";

const SHARDS_MAX = 8;
const MOVES_MAX = 7;

const TILES = [
  { id: "agents", label: "Agents", of: ({ figures }) => figure(figures.agents), past: (point) => point.agents },
  { id: "connections", label: "Connections", of: ({ figures }) => figure(figures.connections), past: (point) => point.connections },
  { id: "commands", label: "Commands a second", of: ({ figures }) => figure(figures.commands_per_s), past: (point) => point.commands_per_s },
  { id: "refused", label: "Refused a second", of: ({ figures }) => figure(figures.refused_per_s), past: (point) => point.refused_per_s },
  { id: "tick", label: "Slowest tick, p99", of: ({ figures }) => ms(figures.tick_ms?.p99), past: (point) => point.tick_p99_ms },
  { id: "commit", label: "Slowest commit, p99", of: ({ figures }) => ms(figures.commit_ms?.p99), past: (point) => point.commit_p99_ms },
];

export class OverviewPage {
  title = "Overview";
  #board;
  #health = el("div", { class: "health", role: "status" });
  #facts = el("p", { class: "page-facts" });
  #tiles = new Map();
  #plots;
  #shards = el("ol", { class: "bars" });
  #refusals = el("ol", { class: "bars" });
  #moves = el("ol", { class: "lines" });

  constructor({ board }) {
    this.#board = board;
    this.#plots = [
      new Plot("Commands/s", [
        { label: "accepted", kind: "a", value: (point) => point.commands_per_s },
        { label: "refused", kind: "b", value: (point) => point.refused_per_s },
      ], figure),
      new Plot("Tick time", [
        { label: "p99", kind: "b", value: (point) => point.tick_p99_ms },
        { label: "p50", kind: "a", value: (point) => point.tick_p50_ms },
      ], ms),
      new Plot("Commit time", [
        { label: "p99", kind: "b", value: (point) => point.commit_p99_ms },
        { label: "p50", kind: "a", value: (point) => point.commit_p50_ms },
      ], ms),
    ];
  }

  mount(root) {
    const tiles = el("div", { class: "tiles" });
    for (const { id, label } of TILES) {
      const value = el("b", { class: "tile-value" }, "–");
      const spark = el("div", { class: "tile-spark" });
      this.#tiles.set(id, { value, spark });
      tiles.append(el("div", { class: "tile", "data-tile": id }, el("span", { class: "tile-label" }, label), value, spark));
    }
    const plots = el("div", { class: "plots" }, ...this.#plots.map(({ node }) => node));
    const shards = panel("Shards", "", this.#shards);
    shards.head.append(el("span", { class: "panel-note" }, "slowest tick first"), link(hrefOf("machines"), "All", "panel-link"));
    const refusals = panel("Refusals", "", this.#refusals);
    refusals.head.append(el("span", { class: "panel-note" }, "a second, by reason"), link(hrefOf("moderation"), "Moderation", "panel-link"));
    const moves = panel("On the move", "", this.#moves);
    moves.head.append(el("span", { class: "panel-note" }, "chunks between shards"));
    root.append(pageHead("Overview", this.#facts, this.#health), tiles, plots, el("div", { class: "three" }, shards.node, refusals.node, moves.node));
  }

  close() {
    for (const plot of this.#plots) plot.close();
  }

  /** @param {Set<string>} topics  What has changed. */
  update(topics) {
    if (topics.has("overview")) this.#drawOverview();
    if (topics.has("hour")) this.#drawHour();
    if (topics.has("shards")) this.#drawShards();
    if (topics.has("moves") || topics.has("overview")) this.#drawMoves();
  }

  #drawOverview() {
    const { overview, marks } = this.#board;
    if (!overview) return;
    for (const { id, of } of TILES) setText(this.#tiles.get(id).value, of(overview));
    const { world } = overview;
    const shards = world.shards === world.wanted_shards ? counted(world.shards, "shard") : `${world.shards} of ${world.wanted_shards} shards`;
    setText(this.#facts, `${counted(overview.figures.chunks, "chunk")} on ${shards} · seed ${world.seed} · release ${world.release}`);
    this.#drawHealth(overview.health, world.frozen || marks.worldFrozen);
    this.#drawRefusals(overview.refusals ?? {});
  }

  #drawHealth({ ok, problems }, frozen) {
    const said = [...(frozen ? ["The world is frozen: thaw it under Operations."] : []), ...problems];
    this.#health.className = `health ${said.length === 0 && ok ? "health-good" : "health-bad"}`;
    const lines = said.length ? said : [ok ? "All is well" : "Something is wrong; look at Machines."];
    reconcile(this.#health, lines, (line) => line, (line) => el("p", {}, line), () => {});
  }

  #drawHour() {
    const { hour } = this.#board;
    for (const { id, past } of TILES) this.#tiles.get(id).spark.replaceChildren(sparkline(hour.map(past).filter(Number.isFinite)));
    for (const plot of this.#plots) plot.show(hour);
  }

  #drawShards() {
    const rows = this.#board.troubledShards.slice(0, SHARDS_MAX);
    const most = Math.max(1, ...rows.map(({ tick_ms: tick }) => tick?.p99 ?? 0));
    reconcile(this.#shards, rows, ({ shard }) => String(shard), barRow, (node, row) => {
      const [name, state, bar, value] = node.children;
      name.replaceChildren(link(hrefOf("machines"), row.actor));
      state.replaceChildren(row.state === "ok" ? el("span", { class: "bar-more" }, `${figure(row.agents)} agents · CPU ${percent(row.cpu)}`) : stateBadge(row.state));
      bar.firstElementChild.style.width = `${(100 * (row.tick_ms?.p99 ?? 0)) / most}%`;
      setText(value, ms(row.tick_ms?.p99));
    });
    if (rows.length === 0) this.#shards.replaceChildren(el("li", {}, emptyNote("No shard has said anything yet.")));
  }

  #drawRefusals(refusals) {
    const rows = Object.entries(refusals).filter(([, rate]) => rate > 0).sort((a, b) => b[1] - a[1]);
    const most = Math.max(1e-9, ...rows.map(([, rate]) => rate));
    reconcile(this.#refusals, rows, ([reason]) => reason, barRow, (node, [reason, rate]) => {
      const [name, , bar, value] = node.children;
      setText(name, plain(reason));
      bar.firstElementChild.style.width = `${(100 * rate) / most}%`;
      setText(value, `${figure(rate)}/s`);
    });
    if (rows.length === 0) this.#refusals.replaceChildren(el("li", {}, emptyNote("Nothing is refused.")));
  }

  #drawMoves() {
    const { moves, overview } = this.#board;
    const under = moves.underWay.map((move) => ({ ...move, outcome: null }));
    const rows = [...under, ...moves.rows].slice(0, MOVES_MAX);
    reconcile(this.#moves, rows, (move) => `${move.chunk_id} ${move.at_ms} ${move.outcome}`, moveRow, () => {});
    const left = overview?.moving?.to_move ?? 0;
    if (rows.length === 0) this.#moves.replaceChildren(el("li", {}, emptyNote(left ? `${counted(left, "chunk")} to move.` : "Everything is where it belongs.")));
  }
}

function barRow() {
  return el("li", { class: "bar-row" }, el("span", { class: "bar-name" }), el("span", { class: "bar-state" }), el("span", { class: "bar" }, el("i", {})), el("b", {}));
}

function moveRow(move) {
  const way = el("span", { class: "line-main" }, link(hrefOf("map", move.chunk_id), move.chunk_id), ` ${move.from_shard} → ${move.to_shard}`);
  const more = [plain(move.reason), Number.isFinite(move.pause_ms) ? `stood still ${ms(move.pause_ms)}` : "", Number.isFinite(move.at_ms) ? `${span(Date.now() - move.at_ms)} ago` : ""];
  return el("li", { class: "line" }, way, stateBadge(move.outcome ?? "running"), el("span", { class: "line-more" }, more.filter(Boolean).join(" · ")));
}
