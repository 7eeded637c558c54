/** Short notices at the foot of the page, read out, gone by themselves. */
import { button, el } from "./dom.js";

const SHOWN_MS = 6000;
const SHOWN_BAD_MS = 15_000;
const AT_ONCE = 4;

export class Toasts {
  /** @param {HTMLElement} node */
  constructor(node) {
    this.node = node;
  }

  /** @param {string} text @param {boolean} bad */
  say(text, bad) {
    const toast = el("div", bad ? "toast bad" : "toast", el("span", "", `${bad ? "✕" : "✓"} ${text}`));
    toast.append(button("toast-close", () => toast.remove(), "×"));
    this.node.append(toast);
    while (this.node.children.length > AT_ONCE) this.node.firstElementChild?.remove();
    setTimeout(() => toast.remove(), bad ? SHOWN_BAD_MS : SHOWN_MS);
  }
}
