/** EXERCISE/演练, always in view, with the way out of it when the emergency is real. */
import { ApiError, drill } from "./api.js";
import { ask } from "./dialog.js";
import { button, el, setClass, setText, show } from "./dom.js";
import { codeWord, labelled, localName, word } from "./lang.js";
import { progressText } from "./drill.js";

/** @typedef {import("./types.js").DrillState} DrillState */

export class Banner {
  /** @param {HTMLElement} node @param {(text: string, bad: boolean) => void} say */
  constructor(node, say) {
    this.node = node;
    this.say = say;
    this.stopped = false;
    this.line = el("span", "banner-line");
    this.real = labelled(button("banner-real", () => void this.#declare()), "drill.real");
    // Both languages whatever the page speaks: a visitor must not need to read the right one.
    node.append(el("b", "banner-plate", "演练 EXERCISE"), this.line, this.real);
  }

  async #declare() {
    const sure = await ask({
      title: word("drill.real.title"), text: word("drill.real.text"),
      yes: word("drill.real.yes"), no: word("cancel"),
    });
    if (!sure) return;
    this.say(word("drill.real.sending"), false);
    try {
      await drill("real_emergency");
      this.stopped = true;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.say(word("command.failed", { what: word("drill.real"), reason: error.message }), true);
    }
  }

  /** @param {boolean} exercise @param {DrillState|null} state */
  update(exercise, state) {
    show(this.node, exercise);
    setClass(document.body, "exercise", exercise);
    const stopped = this.stopped || state?.reason === "real_emergency";
    setClass(this.node, "stopped", stopped);
    show(this.real, !stopped);
    const facts = state
      ? [localName(state.title, state.scenario), codeWord("drill.state", state.state), progressText(state)]
      : [];
    setText(this.line, stopped ? word("drill.real.stopped")
      : [word("exercise.line"), ...facts].join(" · "));
  }
}
