// Small parts that all pages are made of.

import { el, setText } from "../../../watch/js/dom.js";

/** A box with a heading. @returns {{node: HTMLElement, head: HTMLElement}} The box, and what its heading stands in. */
export function panel(title, className = "", ...children) {
  const head = el("header", { class: "panel-head" }, el("h2", {}, title));
  const node = el("section", { class: `panel ${className}`.trim(), "aria-label": title }, head, ...children);
  return { node, head };
}

/** The heading of a page with what it says beside it. */
export function pageHead(title, ...children) {
  return el("header", { class: "page-head" }, el("h1", {}, title), ...children);
}

export function link(href, text, className = "") {
  return el("a", { href, class: className || null }, el("bdi", {}, text));
}

/** @param {"good" | "warn" | "bad" | "calm" | "cold"} kind  Its shape and colour; the text says it too. */
export function badge(text, kind) {
  return el("span", { class: `badge badge-${kind}` }, text);
}

const STATES = new Map(Object.entries({
  ok: "good", done: "good", moved: "good", running: "calm", begun: "calm", draining: "warn", drained: "warn", silent: "bad", stalled: "bad",
  failed: "bad", lost: "bad", refused: "warn", frozen: "cold", gone: "bad",
}));

/** A state of anything, by its word. */
export function stateBadge(state) {
  return badge(String(state ?? "–").replaceAll("_", " "), STATES.get(state) ?? "calm");
}

/** A row of buttons of which one is pressed. @param {[string, string][]} choices  Values and labels. */
export function segments(label, choices, value, choose) {
  const group = el("div", { class: "segments", role: "group", "aria-label": label });
  const show = (now) => {
    for (const button of group.children) button.setAttribute("aria-pressed", String(button.dataset.value === now));
  };
  for (const [name, text] of choices) {
    const button = el("button", { type: "button", "data-value": name }, text);
    button.addEventListener("click", () => {
      show(name);
      choose(name);
    });
    group.append(button);
  }
  show(value);
  return group;
}

/** A field to filter by. @param {(text: string) => void} changed  Called when one pauses. */
export function filterField(label, changed) {
  const input = el("input", { type: "search", class: "filter-field", "aria-label": label, placeholder: label, autocomplete: "off", autocapitalize: "none", spellcheck: "false", maxlength: 128 });
  let timer = 0;
  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => changed(input.value.trim()), 180);
  });
  return input;
}

/** A list of facts. @returns {{node: HTMLElement, show: (values: Record<string, string | Node>) => void}} */
export function facts(names) {
  const places = new Map();
  const node = el("dl", { class: "facts" });
  for (const [name, label] of names) {
    const value = el("dd", {}, "–");
    places.set(name, value);
    node.append(el("div", {}, el("dt", {}, label), value));
  }
  const show = (values) => {
    for (const [name, value] of Object.entries(values)) {
      if (value instanceof Node) places.get(name).replaceChildren(value);
      else setText(places.get(name), value);
    }
  };
  return { node, show };
}

/** What stands where nothing is. */
export function emptyNote(text) {
  return el("p", { class: "nothing" }, text);
}
