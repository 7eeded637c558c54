/** What the wearer of a unit has breathed: at least so much, and how much of the time was measured. */
import { arrange, el, setClass, setText, show } from "./dom.js";
import { word } from "./lang.js";
import { formula, quantityText, unitText, valueText } from "./reading.js";

/** @typedef {import("./types.js").Dose} Dose */
/** @typedef {import("./types.js").Exposure} Exposure */

/** Below this share of the time a dose is a poor lower bound, and says so in bold. */
const ENOUGH = 0.75;

export class ExposureLines {
  constructor() {
    this.head = el("p", "dose-head");
    this.list = el("ul", "dose-list");
    this.node = el("section", "dose", this.head, this.list);
    /** @type {Map<string, HTMLLIElement>} */
    this.lines = new Map();
  }

  /** @param {Exposure|null|undefined} exposure */
  update(exposure) {
    const doses = (exposure?.doses ?? []).filter(isTold);
    show(this.node, doses.length > 0);
    if (!exposure || doses.length === 0) return;
    const since = new Date(exposure.since).toLocaleTimeString("zh-CN", { hour12: false }).slice(0, 5);
    const who = [exposure.wearer, exposure.wearer_id].filter(Boolean).join(" ");
    setText(this.head, word("dose.wearer", { who: who || word("dose.nobody"), since }));
    arrange(this.list, doses.map((dose) => this.#line(dose)));
  }

  /** @param {Dose} dose */
  #line(dose) {
    const key = `${dose.source}/${dose.quantity}`;
    let line = this.lines.get(key);
    if (!line) {
      line = el("li", "dose-line", el("span", "dose-figures"), el("span", "dose-coverage"));
      this.lines.set(key, line);
    }
    const [figures, coverage] = line.children;
    setText(figures, word("dose.line", {
      gas: formula(dose.quantity) || dose.quantity,
      stel: share(dose.stel, dose.stel_limit, dose.unit),
      twa: share(dose.twa, dose.twa_limit, dose.unit),
      peak: quantityText(dose.peak ?? 0, dose.unit),
    }));
    const least = Math.min(dose.coverage ?? 0, dose.coverage_15min ?? 0);
    setText(coverage, word("dose.coverage", { percent: Math.floor(100 * least) }));
    setClass(line, "poor", least < ENOUGH);
    setClass(line, "over", isOver(dose.stel, dose.stel_limit) || isOver(dose.twa, dose.twa_limit));
    line.title = `${dose.source}: ${dose.basis ?? ""}`;
    return line;
  }
}

/** @param {Dose} dose @returns {number} the greater share of its limits, 0 where it has none */
const shareOf = ({ stel, twa, stel_limit: most, twa_limit: mean }) =>
  Math.max(most ? stel / most : 0, mean ? twa / mean : 0);

/**
 * The dose that is nearest to a limit, or beyond it.
 * @param {Exposure|null|undefined} exposure @returns {string} "dose Cl₂ ≥ 12% of limit", "" where none is at 1 % or has a limit
 */
export function worstText(exposure) {
  const [worst] = [...exposure?.doses ?? []].sort((a, b) => shareOf(b) - shareOf(a));
  const percent = worst ? Math.floor(100 * shareOf(worst)) : 0;
  return percent < 1 ? ""
    : word("dose.share", { gas: formula(worst.quantity) || worst.quantity, percent });
}

/** What has a limit, or has been breathed. @param {Dose} dose */
const isTold = ({ stel_limit, twa_limit, dose }) =>
  typeof stel_limit === "number" || typeof twa_limit === "number" || (dose ?? 0) > 0;

/** @param {number} value @param {number|null|undefined} limit */
const isOver = (value, limit) => typeof limit === "number" && value >= limit;

/**
 * @param {number} value @param {number|null|undefined} limit @param {string} unit
 * @returns {string} "0.12/0.4 ppm"
 */
function share(value, limit, unit) {
  if (typeof limit !== "number") return quantityText(value, unit);
  const sign = isOver(value, limit) ? "▲" : "";
  return `${sign}${valueText(value, unit)}/${valueText(limit, unit)} ${unitText(unit)}`;
}
