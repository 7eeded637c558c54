/** Who sits here: named once, kept in the browser, and told with each command. */
import { button, el, setText } from "./dom.js";
import { titled, word } from "./lang.js";

const KEPT = "outpost.operator";
const NAME_MAX = 40;

let typed = localStorage.getItem(KEPT) ?? "";
/** The name that this page's token has; it goes before any other. */
let bound = "";

/** @returns {string} empty: nobody has said */
export const operatorName = () => bound || typed;

/** Ask the console whether the token names somebody. */
async function findBound() {
  const response = await fetch("/api/operator").catch(() => undefined);
  if (response?.ok) bound = String((await response.json()).name ?? "");
}

/** @returns {Promise<string|undefined>} what was typed; undefined: it was left as it is */
function askName() {
  return new Promise((resolve) => {
    const dialog = el("dialog", "ask");
    const input = el("input", "order-input operator-name");
    input.maxLength = NAME_MAX;
    input.value = typed;
    input.setAttribute("aria-label", word("operator"));
    const end = (/** @type {string|undefined} */ answer) => {
      resolve(answer);
      dialog.close();
    };
    const form = el("form", "", el("h2", "", word("operator")), el("p", "", word("operator.why")), input,
      el("div", "ask-buttons", button("big", () => end(undefined), word("cancel")),
        button("big", () => end(input.value), word("operator.keep"))));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      end(input.value);
    });
    dialog.append(form);
    dialog.addEventListener("close", () => {
      resolve(undefined);
      dialog.remove();
    });
    document.body.append(dialog);
    dialog.showModal();
    input.focus();
  });
}

/** The name, in the head of the page. */
export class OperatorButton {
  constructor() {
    this.node = titled(button("top-button operator", () => void this.#pressed()), "operator");
    void findBound().then(() => this.update());
  }

  async #pressed() {
    const name = await askName();
    if (name === undefined) return;
    typed = name.trim().replaceAll("/", " ");
    localStorage.setItem(KEPT, typed);
    this.update();
  }

  update() {
    setText(this.node, `☺ ${operatorName() || word("operator.nobody")}`);
    this.node.disabled = bound !== "";
  }
}
