// Not a module, so that it runs before the first paint: the colours somebody chose, if they did.
"use strict";
(() => {
  try {
    const chosen = localStorage.getItem("chunkcrawl.theme");
    if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
  } catch {
    // No storage, no choice: as the system has it.
  }
})();
