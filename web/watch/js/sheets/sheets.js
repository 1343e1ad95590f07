// What lies over the map, one at a time: which is open is said by the address, so that it can be linked and gone back from.

import { byId } from "../dom.js";
import { sheetOf, toLeaders } from "../route.js";

export class Sheets {
  #sheets;
  #open = null;
  /** The address of the map below. */
  mapHash = "";

  /** @param {Record<string, {dialog: HTMLDialogElement, open: (what: object) => void, close: () => void}>} sheets */
  constructor(sheets) {
    this.#sheets = sheets;
    byId("leaders-button").addEventListener("click", () => toLeaders("gold", "day"));
    for (const { dialog } of Object.values(sheets)) {
      dialog.addEventListener("cancel", (event) => {
        event.preventDefault();
        this.#back();
      });
      dialog.addEventListener("click", (event) => {
        if (event.target === dialog || event.target.closest(".sheet-close")) this.#back();
      });
    }
  }

  get isOpen() {
    return this.#open !== null;
  }

  /** Show what an address asks for. @returns {boolean} Whether that lies over the map. */
  show(hash) {
    const wanted = sheetOf(hash);
    if (this.#open && wanted?.kind !== this.#open) {
      const { dialog, close } = this.#sheets[this.#open];
      close.call(this.#sheets[this.#open]);
      dialog.close();
    }
    this.#open = wanted?.kind ?? null;
    if (!wanted) {
      this.mapHash = hash;
      return false;
    }
    const sheet = this.#sheets[wanted.kind];
    sheet.open(wanted);
    if (!sheet.dialog.open) sheet.dialog.showModal();
    return true;
  }

  #back() {
    location.hash = this.mapHash || "#/chunk/demo";
  }
}
