// Who did what, when, from where, and how it ended. The newest come by the stream, older ones as one scrolls.

import { el, setText } from "../../../watch/js/dom.js";
import { Pages } from "../state/pages.js";
import { filterField, pageHead, segments, stateBadge } from "../ui/parts.js";
import { Table } from "../ui/table.js";
import { fullMoment, inLine, moment, plain, refusalText } from "../ui/words.js";

const OUTCOMES = [["", "All"], ["done", "Done"], ["refused", "Refused"], ["failed", "Failed"]];

/** "ban-agent" as "ban agent". */
function deed(action) {
  return plain(action).replaceAll("-", " ");
}

export class AuditPage {
  title = "Audit";
  #board;
  #table;
  #pages;
  #outcome = "";
  #problem = el("p", { class: "problem", role: "alert", hidden: true });

  constructor({ board, operator }) {
    this.#board = board;
    this.#pages = new Pages((path) => operator.ask(path), (error) => this.#show(error));
    this.#table = new Table({
      label: "Audit log",
      columns: [
        { id: "at", label: "When", width: "minmax(9ch, .7fr)", text: ({ at_ms: at }) => moment(at), node: ({ at_ms: at }) => el("time", { title: fullMoment(at) }, moment(at)) },
        { id: "operator", label: "Who", width: "minmax(9ch, .8fr)", text: ({ operator: name }) => name ?? "–" },
        { id: "action", label: "What", width: "minmax(9ch, .8fr)", text: ({ action }) => deed(action) },
        { id: "subject", label: "To", width: "minmax(12ch, 1.3fr)", text: ({ subject }) => subject || "–", wide: true },
        { id: "outcome", label: "Outcome", width: "minmax(9ch, .7fr)", text: ({ outcome }) => outcome, node: ({ outcome, reason }) => el("span", { title: reason ? plain(reason) : null }, stateBadge(outcome)) },
        { id: "details", label: "Details", width: "minmax(14ch, 2fr)", text: ({ details, reason }) => [reason ? plain(reason) : "", inLine(details)].filter(Boolean).join(" · ") || "–", wide: true },
        { id: "address", label: "From", width: "minmax(12ch, .8fr)", text: ({ address }) => address ?? "–", wide: true },
      ],
      keyOf: ({ audit_id: id }) => String(id),
      searchText: ({ operator: name, action, subject, address }) => `${name} ${deed(action)} ${subject} ${address}`,
      nearEnd: () => this.#pages.more(),
      empty: "Nothing has been done yet.",
    });
  }

  mount(root) {
    const filter = filterField("Filter: who, what, to whom", (text) => this.#table.filter(text));
    const outcome = segments("Outcome", OUTCOMES, "", (value) => {
      this.#outcome = value;
      this.#pages.open("audit", { outcome: value });
    });
    root.classList.add("fills");
    root.append(pageHead("Audit", outcome, filter), this.#problem, this.#table.node);
    this.#pages.open("audit");
  }

  close() {
    this.#table.close();
  }

  update(topics) {
    if (topics.has("audit")) this.#show(null);
  }

  /** The newest lines may have got their outcome since the older ones were asked for. */
  #show(error) {
    this.#problem.hidden = error === null;
    if (error) setText(this.#problem, refusalText(error));
    const newest = this.#board.audit.filter(({ outcome }) => !this.#outcome || outcome === this.#outcome);
    const known = new Set(newest.map(({ audit_id: id }) => id));
    this.#table.show([...newest, ...this.#pages.rows.filter(({ audit_id: id }) => !known.has(id))]);
  }
}
