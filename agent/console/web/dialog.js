/** A question that must be answered before something grave is done. */
import { button, el } from "./dom.js";

/**
 * @param {{title: string, text: string, yes: string, no: string}} words
 * @returns {Promise<boolean>} false too where it is closed with Escape
 */
export function ask({ title, text, yes, no }) {
  return new Promise((resolve) => {
    const dialog = el("dialog", "ask");
    const end = (/** @type {boolean} */ answer) => () => {
      resolve(answer);
      dialog.close();
    };
    const back = button("big", end(false), no);
    dialog.append(el("h2", "", title), el("p", "", text),
      el("div", "ask-buttons", back, button("big danger", end(true), yes)));
    dialog.addEventListener("close", () => {
      resolve(false);
      dialog.remove();
    });
    document.body.append(dialog);
    dialog.showModal();
    back.focus();
  });
}
