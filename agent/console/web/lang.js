/** The language that the page speaks now: words looked up, elements kept in it. */
import { partsOf } from "./reading.js";
import { WORDS } from "./words.js";

/** @typedef {import("./words.js").Word} Word */
/** @typedef {"zh"|"en"} Lang */
/** @typedef {Record<string, string|number>} Values */

const KEPT = "outpost.lang";

/** @type {Lang} */
let lang = "zh";
let chosen = false;
/** @type {Set<() => void>} */
const listeners = new Set();

/** @param {unknown} text @returns {text is Lang} */
const isLang = (text) => text === "zh" || text === "en";

/** `?lang=` first, then what was chosen before, then Chinese until the server says. */
export function startLanguage() {
  const asked = new URLSearchParams(location.search).get("lang");
  const kept = localStorage.getItem(KEPT);
  const first = [asked, kept].find(isLang);
  chosen = first !== undefined;
  apply(first ?? "zh");
}

/** The server's default counts where nobody has chosen. @param {string} text */
export function proposeLanguage(text) {
  if (!chosen && isLang(text)) apply(text);
}

/** Somebody pressed the switch. */
export function toggleLanguage() {
  chosen = true;
  const next = lang === "zh" ? "en" : "zh";
  localStorage.setItem(KEPT, next);
  apply(next);
}

/** @param {Lang} next */
function apply(next) {
  lang = next;
  document.documentElement.lang = next === "zh" ? "zh-CN" : "en";
  document.title = word("app.title");
  relabel(document);
  for (const listener of listeners) listener();
}

/** @returns {Lang} */
export const language = () => lang;

/** @param {() => void} listener called after each change of language */
export const onLanguage = (listener) => void listeners.add(listener);

/** @param {Word} key @param {Values} [values] */
export function word(key, values = {}) {
  return WORDS[key][lang].replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ""));
}

/**
 * A word for a code off the wire; the code itself where there is none.
 * @param {string} group `q`, `code`, `quality` ... @param {string} code @param {Values} [values]
 */
export function codeWord(group, code, values = {}) {
  const key = `${group}.${code}`;
  return isWord(key) ? word(key, values) : code.replaceAll("_", " ");
}

/** @param {string} key @returns {key is Word} */
export const isWord = (key) => Object.hasOwn(WORDS, key);

/** @param {string} quantity `wind_speed_max` @returns {string} "Max. wind speed" */
export function quantityWord(quantity) {
  const [base, ...modifiers] = partsOf(quantity);
  const whole = isWord(`q.${quantity}`);
  const name = (whole ? [] : modifiers).reduce(
    (text, modifier) => codeWord("modifier", modifier, { name: text }),
    codeWord("q", whole ? quantity : base));
  return name.charAt(0).toUpperCase() + name.slice(1);
}

/**
 * Who did something: a part of ours in words, a person as they are called, or both: `console/Chen`.
 * @param {string} by
 */
export function byWord(by) {
  const [part, name] = by.split("/", 2);
  return isWord(`part.${part}`) ? [codeWord("part", part), name].filter(Boolean).join(" ") : by;
}

/** @param {Record<string, string>|null|undefined} names by language @param {string} fallback */
export const localName = (names, fallback) => names?.[lang] || names?.zh || names?.en || fallback;

/**
 * Keep an element's text in the language of the page.
 * @template {Element} T @param {T} node @param {Word} key @returns {T}
 */
export function labelled(node, key) {
  node.setAttribute("data-word", key);
  relabelOne(node);
  return node;
}

/**
 * Keep an element's accessible name and tooltip in the language of the page.
 * @template {Element} T @param {T} node @param {Word} key @returns {T}
 */
export function titled(node, key) {
  node.setAttribute("data-word-title", key);
  relabelOne(node);
  return node;
}

/**
 * Name a region for those who cannot see it; no tooltip.
 * @param {Element} node @param {Word} key
 */
export function named(node, key) {
  node.setAttribute("data-word-name", key);
  relabelOne(node);
}

/** @param {Element} node */
function relabelOne(node) {
  const name = node.getAttribute("data-word-name");
  if (name) node.setAttribute("aria-label", word(/** @type {Word} */ (name)));
  const text = node.getAttribute("data-word");
  if (text) node.textContent = word(/** @type {Word} */ (text));
  const title = node.getAttribute("data-word-title");
  if (!title) return;
  node.setAttribute("title", word(/** @type {Word} */ (title)));
  node.setAttribute("aria-label", word(/** @type {Word} */ (title)));
}

/** @param {ParentNode} root */
function relabel(root) {
  root.querySelectorAll("[data-word], [data-word-title], [data-word-name]").forEach(relabelOne);
}
