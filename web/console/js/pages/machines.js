// What the world runs on: shards, nodes and actors.

import { el } from "../../../watch/js/dom.js";
import { hrefOf } from "../route.js";
import { drain, pin, undrain, unpin } from "../ui/actions.js";
import { actionButton } from "../ui/confirm.js";
import { pageHead, panel, stateBadge } from "../ui/parts.js";
import { Table } from "../ui/table.js";
import { figure, ms, percent } from "../ui/words.js";

export class MachinesPage {
  title = "Machines";
  #board;
  #tables;

  constructor(desk) {
    this.#board = desk.board;
    this.#tables = { shards: shardTable(desk), nodes: nodeTable(desk), actors: actorTable(desk) };
  }

  mount(root) {
    const { shards, nodes, actors } = this.#tables;
    root.append(
      pageHead("Machines", el("p", { class: "page-facts" }, "Shards carry the world, gateways the clients; both run on nodes.")),
      panel("Shards", "table-panel", shards.node).node,
      panel("Nodes", "table-panel", nodes.node).node,
      panel("Actors", "table-panel", actors.node).node,
    );
  }

  close() {
    for (const table of Object.values(this.#tables)) table.close();
  }

  update(topics) {
    if (topics.has("shards") || topics.has("marks")) this.#tables.shards.show(this.#board.shards);
    if (topics.has("nodes") || topics.has("actors")) this.#tables.nodes.show(this.#board.nodes);
    if (topics.has("actors") || topics.has("nodes")) this.#tables.actors.show(this.#board.actors);
  }
}

function shardTable({ board, operator, confirm }) {
  const isPinned = ({ shard, pinned }) => pinned || board.marks.pinned.has(`shard-${shard}`);
  const act = (row) => actionButton(operator, confirm, isPinned(row) ? "Unpin" : "Pin", () => (isPinned(row) ? unpin : pin)(`shard-${row.shard}`), "quiet tiny");
  return new Table({
    label: "Shards",
    columns: [
      { id: "shard", label: "Shard", width: "minmax(9ch, 1fr)", text: ({ actor }) => actor, value: ({ shard }) => shard },
      { id: "state", label: "State", width: "minmax(9ch, .8fr)", text: ({ state }) => state, node: ({ state }) => stateBadge(state), value: ({ state }) => state },
      { id: "tick", label: "Tick p99", width: "minmax(9ch, .8fr)", text: ({ tick_ms: tick }) => ms(tick?.p99), value: ({ tick_ms: tick }) => tick?.p99, end: true },
      { id: "half", label: "p50", width: "minmax(8ch, .7fr)", text: ({ tick_ms: tick }) => ms(tick?.p50), value: ({ tick_ms: tick }) => tick?.p50, end: true, wide: true },
      { id: "commit", label: "Commit p99", width: "minmax(11ch, .9fr)", text: ({ commit_ms: commit }) => ms(commit?.p99), value: ({ commit_ms: commit }) => commit?.p99, end: true, wide: true },
      { id: "cpu", label: "CPU", width: "minmax(6ch, .6fr)", text: ({ cpu }) => percent(cpu), value: ({ cpu }) => cpu, end: true },
      { id: "chunks", label: "Chunks", width: "minmax(8ch, .7fr)", text: ({ chunks }) => figure(chunks), value: ({ chunks }) => chunks, end: true, wide: true },
      { id: "agents", label: "Agents", width: "minmax(8ch, .7fr)", text: ({ agents }) => figure(agents), value: ({ agents }) => agents, end: true, wide: true },
      { id: "skipped", label: "Skipped", width: "minmax(8ch, .7fr)", text: ({ ticks_skipped: skipped }) => figure(skipped), value: ({ ticks_skipped: skipped }) => skipped, end: true, wide: true },
      { id: "node", label: "Node", width: "minmax(10ch, 1fr)", text: ({ node }) => board.nodeName(node), value: ({ node }) => board.nodeName(node), wide: true },
      { id: "act", label: "", width: "84px", text: (row) => (isPinned(row) ? "Unpin" : "Pin"), node: act, end: true, wide: true },
    ],
    keyOf: ({ shard }) => String(shard),
    hrefOf: ({ shard }) => hrefOf("chunks", `shard-${shard}`),
    sort: { by: "tick", descending: true },
    empty: "No shard has said anything yet.",
  });
}

function nodeState({ alive, drained, actors }) {
  if (!alive) return "gone";
  if (!drained) return "ok";
  return actors.length ? "draining" : "drained";
}

function nodeTable({ operator, confirm }) {
  const act = (row) => actionButton(operator, confirm, row.drained ? "Take back" : "Drain", () => (row.drained ? undrain : drain)(row), "quiet tiny");
  return new Table({
    label: "Nodes",
    columns: [
      { id: "name", label: "Node", width: "minmax(12ch, 1fr)", text: ({ name }) => name, value: ({ name }) => name },
      { id: "state", label: "State", width: "minmax(9ch, .6fr)", text: nodeState, node: (row) => stateBadge(nodeState(row)), value: nodeState },
      { id: "by", label: "Drained by", width: "minmax(10ch, .6fr)", text: ({ drained, by }) => (drained && by ? by : "–"), wide: true },
      { id: "address", label: "Address", width: "minmax(14ch, .8fr)", text: ({ address }) => address, value: ({ address }) => address, wide: true },
      { id: "cpus", label: "CPUs", width: "minmax(6ch, .4fr)", text: ({ cpus }) => figure(cpus), value: ({ cpus }) => cpus, end: true, wide: true },
      { id: "actors", label: "Runs", width: "minmax(16ch, 2.4fr)", text: ({ actors }) => actors.join(", ") || "nothing", wide: true },
      { id: "act", label: "", width: "104px", text: ({ drained }) => (drained ? "Take back" : "Drain"), node: act, end: true },
    ],
    keyOf: ({ node }) => node,
    sort: { by: "name", descending: false },
    empty: "No node is known yet.",
  });
}

function actorTable({ board }) {
  return new Table({
    label: "Actors",
    columns: [
      { id: "actor", label: "Actor", width: "minmax(11ch, 1fr)", text: ({ actor }) => actor, value: ({ actor }) => actor },
      { id: "state", label: "State", width: "minmax(9ch, .7fr)", text: ({ state }) => state, node: ({ state }) => stateBadge(state), value: ({ state }) => state },
      { id: "kind", label: "Kind", width: "minmax(9ch, .7fr)", text: ({ kind }) => kind, value: ({ kind }) => kind, wide: true },
      { id: "cpu", label: "CPU", width: "minmax(6ch, .5fr)", text: ({ cpu }) => percent(cpu), value: ({ cpu }) => cpu, end: true },
      { id: "connections", label: "Connections", width: "minmax(12ch, .7fr)", text: ({ connections }) => figure(connections), value: ({ connections }) => connections, end: true, wide: true },
      { id: "node", label: "Node", width: "minmax(12ch, 1fr)", text: ({ node }) => board.nodeName(node), value: ({ node }) => board.nodeName(node), wide: true },
      { id: "pid", label: "Process", width: "minmax(9ch, .6fr)", text: ({ pid }) => String(pid ?? "–"), value: ({ pid }) => pid, end: true, wide: true },
      { id: "release", label: "Release", width: "minmax(9ch, .6fr)", text: ({ release }) => String(release ?? "–"), value: ({ release }) => release, wide: true },
    ],
    keyOf: ({ actor }) => actor,
    sort: { by: "actor", descending: false },
    empty: "No actor has said anything yet.",
  });
}
