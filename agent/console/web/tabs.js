/** Tabs of the dock, with the keys that people expect of tabs. */
import { el } from "./dom.js";
import { labelled } from "./lang.js";

/** @typedef {{id: string, word: import("./words.js").Word, panel: HTMLElement}} Tab */

export class Tabs {
  /** @param {HTMLElement} bar @param {Tab[]} tabs the first is shown */
  constructor(bar, tabs) {
    this.tabs = tabs;
    this.buttons = tabs.map(({ id, word, panel }) => {
      const tab = labelled(el("button", "tab"), word);
      tab.type = "button";
      tab.id = `tab-${id}`;
      tab.setAttribute("role", "tab");
      tab.setAttribute("aria-controls", panel.id);
      panel.setAttribute("role", "tabpanel");
      panel.setAttribute("aria-labelledby", tab.id);
      tab.addEventListener("click", () => this.choose(id));
      return tab;
    });
    bar.setAttribute("role", "tablist");
    bar.append(...this.buttons);
    bar.addEventListener("keydown", ({ key }) => this.#step(key));
    this.chosen = tabs[0].id;
    this.choose(this.chosen);
  }

  /** @param {string} key */
  #step(key) {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[key];
    if (!by) return;
    const open = this.tabs.filter((_, index) => !this.buttons[index].hidden);
    const at = open.findIndex(({ id }) => id === this.chosen);
    const next = open[(at + by + open.length) % open.length];
    this.choose(next.id);
    this.buttons[this.tabs.indexOf(next)].focus();
  }

  /** @param {string} id */
  choose(id) {
    this.chosen = id;
    this.tabs.forEach((tab, index) => {
      const on = tab.id === id;
      tab.panel.hidden = !on;
      this.buttons[index].setAttribute("aria-selected", String(on));
      this.buttons[index].tabIndex = on ? 0 : -1;
    });
  }

  /** @param {string} id @param {boolean} open */
  offer(id, open) {
    const index = this.tabs.findIndex((tab) => tab.id === id);
    this.buttons[index].hidden = !open;
    if (!open && this.chosen === id) this.choose(this.tabs[0].id);
  }
}
