// Colours, tabs, zoom buttons, help and keys.

import { byId } from "../dom.js";

const THEMES = ["system", "light", "dark"];
const THEME_KEY = "chunkcrawl.theme";
const ARROWS = { ArrowUp: "N", ArrowRight: "E", ArrowDown: "S", ArrowLeft: "W" };

/** @param {() => void} changed  The colours are other ones now. */
export function attachTheme(changed) {
  const root = document.documentElement;
  const button = byId("theme-button");
  const label = () => button.setAttribute("aria-label", `Colours: ${root.dataset.theme ?? "as the system"}`);
  label();
  button.addEventListener("click", () => {
    const next = THEMES[(THEMES.indexOf(root.dataset.theme ?? "system") + 1) % THEMES.length];
    if (next === "system") delete root.dataset.theme;
    else root.dataset.theme = next;
    try {
      if (next === "system") localStorage.removeItem(THEME_KEY);
      else localStorage.setItem(THEME_KEY, next);
    } catch {
      // Then it holds for this page only.
    }
    label();
    changed();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", changed);
  matchMedia("(forced-colors: active)").addEventListener("change", changed);
}

/** On narrow screens one panel is shown at a time. */
export function attachTabs() {
  const tabs = document.querySelectorAll(".tabs button");
  for (const tab of tabs) tab.addEventListener("click", () => showTab(tab.dataset.tab));
}

export function showTab(name) {
  document.body.dataset.tab = name;
  for (const tab of document.querySelectorAll(".tabs button")) {
    tab.setAttribute("aria-pressed", String(tab.dataset.tab === name));
  }
}

/** @param {import("../map/stage.js").Stage} stage  @param {() => void} settle */
export function attachZoom(stage, settle) {
  const zoom = (change) => () => {
    change();
    settle();
  };
  const { camera } = stage;
  const act = {
    "+": zoom(() => camera.zoomBy(1.6)),
    "-": zoom(() => camera.zoomBy(1 / 1.6)),
    0: zoom(() => camera.fit()),
  };
  byId("zoom-in").addEventListener("click", act["+"]);
  byId("zoom-out").addEventListener("click", act["-"]);
  byId("zoom-fit").addEventListener("click", act[0]);
  // Single characters are keys of the map only, so that nobody's speech or slip of a finger does anything.
  byId("stage").addEventListener("keydown", (event) => {
    if (event.target !== byId("stage") || event.ctrlKey || event.metaKey || event.altKey) return;
    act[event.key === "=" ? "+" : event.key]?.();
  });
}

export function attachHelp() {
  const dialog = byId("help-dialog");
  byId("help-button").addEventListener("click", () => dialog.showModal());
}

/** @param {(side: string) => void} go  @param {() => void} letGo */
export function attachKeys(go, letGo) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey || event.defaultPrevented) return;
    if (document.querySelector("dialog[open]")) return;
    const free = event.target === document.body || byId("stage").contains(event.target);
    const side = ARROWS[event.key];
    if (side && free) {
      event.preventDefault();
      go(side);
    } else if (event.key === "Escape") {
      letGo();
    }
  });
}
