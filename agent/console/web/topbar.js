/** The head of the page: who this is, how it is connected, the time, sound, light, language. */
import { button, el, setClass, setText, show } from "./dom.js";
import { labelled, titled, toggleLanguage, word } from "./lang.js";
import { OperatorButton } from "./operator.js";

/** @typedef {import("./siren.js").Siren} Siren */

const KEPT_THEME = "outpost.theme";

/** Night first: the page is used in the dark and in the rain. */
export function startTheme() {
  document.documentElement.dataset.theme = localStorage.getItem(KEPT_THEME) === "light" ? "light" : "dark";
}

function toggleTheme() {
  const next = document.documentElement.dataset.theme === "light" ? "dark" : "light";
  document.documentElement.dataset.theme = next;
  localStorage.setItem(KEPT_THEME, next);
}

/**
 * @typedef {object} Connection
 * @property {boolean} page
 * @property {string} broker "" until it is known
 * @property {string} org
 */

export class TopBar {
  /** @param {HTMLElement} node @param {Siren} siren @param {() => void} restyled */
  constructor(node, siren, restyled) {
    this.siren = siren;
    this.org = el("span", "top-org");
    this.page = el("span", "chip");
    this.broker = el("span", "chip");
    this.clock = el("time", "top-clock");
    this.sound = button("top-button", () => void this.#soundPressed());
    this.operator = new OperatorButton();
    const theme = titled(button("top-button square", () => {
      toggleTheme();
      restyled();
    }, "◐"), "theme.switch");
    const lang = titled(labelled(button("top-button", toggleLanguage), "language"), "language.switch");
    node.append(labelled(el("b", "top-name"), "app"), this.org, this.page, this.broker,
      el("span", "spring"), this.clock, this.sound, this.operator.node, theme, lang);
  }

  async #soundPressed() {
    const { siren } = this;
    if (!siren.armed) await siren.arm();
    else siren.mute(!siren.muted);
  }

  /** @param {Connection} connection @param {number} now UTC ms */
  update({ page, broker, org }, now) {
    setText(this.org, org);
    setText(this.page, word(page ? "page.live" : "page.connecting"));
    this.page.dataset.state = page ? "up" : "lost";
    show(this.broker, page && broker !== "");
    setText(this.broker, word(broker === "up" ? "broker.up" : "broker.lost"));
    this.broker.dataset.state = broker === "up" ? "up" : "lost";
    setText(this.clock, new Date(now).toLocaleTimeString("zh-CN", { hour12: false }));
    this.updateSound();
    this.operator.update();
  }

  updateSound() {
    const { armed, muted } = this.siren;
    setText(this.sound, !armed ? `♪ ${word("sound.enable")}`
      : muted ? `✕ ${word("sound.muted")}` : `♪ ${word("sound.on")}`);
    setClass(this.sound, "wanted", !armed || muted);
    this.sound.setAttribute("aria-pressed", String(armed && !muted));
    this.sound.title = word(!armed ? "sound.enable" : muted ? "sound.unmute" : "sound.mute");
  }
}
