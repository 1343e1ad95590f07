// Who broke the rules of late, who is muted, who is banned.

import { el } from "../../../watch/js/dom.js";
import { hrefOf } from "../route.js";
import { ban, mute, unban, unmute } from "../ui/actions.js";
import { actionButton } from "../ui/confirm.js";
import { badge, filterField, pageHead, panel } from "../ui/parts.js";
import { Table } from "../ui/table.js";
import { fullMoment, moment, span } from "../ui/words.js";
import { agentName } from "./agents.js";

export class ModerationPage {
  title = "Moderation";
  #board;
  #standings;
  #bans;

  constructor(desk) {
    this.#board = desk.board;
    this.#standings = standingTable(desk);
    this.#bans = banTable(desk);
  }

  mount(root) {
    const filter = filterField("Filter: part of a name", (text) => {
      this.#standings.filter(text);
      this.#bans.filter(text);
    });
    root.append(
      pageHead("Moderation", el("p", { class: "page-facts" }, "Violations become strikes; enough strikes mute by themselves."), filter),
      panel("Strikes and mutes", "table-panel", this.#standings.node).node,
      panel("Bans", "table-panel", this.#bans.node).node,
    );
  }

  close() {
    this.#standings.close();
    this.#bans.close();
  }

  update(topics) {
    if (topics.has("moderation") || topics.has("bans")) this.#standings.show(this.#board.moderation);
    if (topics.has("bans")) this.#bans.show(this.#board.bans.rows, this.#board.bans.total);
  }
}

function standingTable({ board, operator, confirm }) {
  const isMuted = ({ muted_ms: muted }) => muted > 0;
  const buttons = (row) => {
    const id = row.agent_id;
    const isBanned = board.banOf("agent", id) !== null;
    return el(
      "span",
      { class: "row-actions" },
      actionButton(operator, confirm, isMuted(row) ? "Unmute" : "Mute", () => (isMuted(row) ? unmute : mute)(id), "quiet tiny"),
      isBanned ? badge("banned", "bad") : actionButton(operator, confirm, "Ban", () => ban("agent", id), "danger tiny"),
    );
  };
  return new Table({
    label: "Strikes and mutes",
    columns: [
      { id: "agent", label: "Agent", width: "minmax(14ch, 1.6fr)", text: ({ agent_id: id }) => id, node: ({ agent_id: id }) => agentName(id), value: ({ agent_id: id }) => id },
      { id: "strikes", label: "Strikes", width: "minmax(8ch, .5fr)", text: ({ strikes }) => String(strikes), value: ({ strikes }) => strikes, end: true },
      { id: "muted", label: "Muted", width: "minmax(12ch, 1fr)", text: (row) => (isMuted(row) ? `for ${span(row.muted_ms)}` : "no"), value: ({ muted_ms: muted }) => muted, wide: true },
      { id: "by", label: "By", width: "minmax(9ch, .7fr)", text: ({ muted_by: by }) => by ?? "–", value: ({ muted_by: by }) => by, wide: true },
      { id: "last", label: "Last violation", width: "minmax(13ch, .8fr)", text: ({ last_ms: at }) => moment(at), value: ({ last_ms: at }) => at, end: true, wide: true },
      { id: "act", label: "", width: "164px", text: (row) => `${isMuted(row)} ${board.banOf("agent", row.agent_id) !== null}`, node: buttons, end: true },
    ],
    keyOf: ({ agent_id: id }) => id,
    hrefOf: ({ agent_id: id }) => hrefOf("agent", id),
    sort: { by: "strikes", descending: true },
    empty: "Nobody has broken the rules of late.",
  });
}

function banTable({ operator, confirm }) {
  return new Table({
    label: "Bans",
    columns: [
      { id: "subject", label: "Who", width: "minmax(14ch, 1.2fr)", text: ({ subject }) => subject, value: ({ subject }) => subject },
      { id: "kind", label: "Kind", width: "minmax(8ch, .5fr)", text: ({ kind }) => kind, value: ({ kind }) => kind, wide: true },
      { id: "reason", label: "Reason", width: "minmax(12ch, 2fr)", text: ({ reason }) => reason, wide: true },
      { id: "by", label: "By", width: "minmax(9ch, .7fr)", text: ({ by }) => by, value: ({ by }) => by, wide: true },
      { id: "at", label: "Since", width: "minmax(12ch, .8fr)", text: ({ at_ms: at }) => moment(at), value: ({ at_ms: at }) => at, end: true, wide: true },
      { id: "until", label: "Until", width: "minmax(10ch, .8fr)", text: ({ until_ms: until }) => (until ? moment(until) : "lifted"), node: ({ until_ms: until }) => el("span", { title: fullMoment(until) }, until ? moment(until) : "it is lifted"), value: ({ until_ms: until }) => until ?? Infinity, end: true },
      { id: "act", label: "", width: "124px", text: () => "lift", node: ({ kind, subject }) => actionButton(operator, confirm, "Lift the ban", () => unban(kind, subject), "quiet tiny"), end: true },
    ],
    keyOf: ({ kind, subject }) => `${kind} ${subject}`,
    hrefOf: ({ kind, subject }) => (kind === "agent" ? hrefOf("agent", subject) : null),
    sort: { by: "at", descending: true },
    searchText: ({ subject, reason, by }) => `${subject} ${reason} ${by}`,
    empty: "Nobody is banned.",
  });
}
