/** The page's composition root: its parts, and what of the messages goes to which. */
import { ANSWER_WORDS, answerTo, isOpen, signOf, titleOf, worstOf } from "./alarm.js";
import { AlarmBar, keyOf } from "./alarmbar.js";
import { Banner } from "./banner.js";
import { Card } from "./card.js";
import { Charts } from "./charts.js";
import { colourOf } from "./colour.js";
import { Commands } from "./commands.js";
import { ask } from "./dialog.js";
import { shown } from "./discreet.js";
import { arrange, byId, setClass, setText, show } from "./dom.js";
import { Desk } from "./drill.js";
import { Fleet } from "./fleet.js";
import { labelled, localName, named, onLanguage, proposeLanguage, startLanguage, word } from "./lang.js";
import { Live } from "./live.js";
import { Log } from "./log.js";
import { FleetMap } from "./map.js";
import { isHeldBack } from "./person.js";
import { ageParts } from "./reading.js";
import { Siren } from "./siren.js";
import { Tabs } from "./tabs.js";
import { Toasts } from "./toast.js";
import { TopBar, startTheme } from "./topbar.js";

/** @typedef {import("./fleet.js").Unit} Unit */
/** @typedef {import("./types.js").Message} Message */
/** @typedef {import("./types.js").Hello} Hello */
/** @typedef {import("./types.js").DrillState} DrillState */

/** Messages may come faster than anybody can read. */
const REDRAW_MS = 200;

startTheme();
startLanguage();

const fleet = new Fleet();
/** @type {Hello|null} */
let hello = null;
/** @type {DrillState|null} */
let drill = null;
let broker = "";
let brokerDetail = "";
let selected = "";
/** The server's clock less this machine's, ms. */
let ahead = 0;
let autoVideo = new URLSearchParams(location.search).get("video") !== "off";

const now = () => Date.now() + ahead;
const ageText = (/** @type {number} */ ms) => {
  const { key, values } = ageParts(ms);
  return word(key, values);
};
const nameOf = (/** @type {Unit} */ unit) => localName(unit.state.status?.name, unit.id);
const nameOfId = (/** @type {string} */ id) => localName(fleet.units.get(id)?.state.status?.name, id);

const toasts = new Toasts(byId("toasts"));
const say = toasts.say.bind(toasts);
const commands = new Commands(say);
const siren = new Siren(() => topBar.updateSound());
const topBar = new TopBar(byId("top"), siren, () => redraw());
const banner = new Banner(byId("banner"), say);
const map = new FleetMap(byId("map"), (id) => select(id));
const charts = new Charts(byId("charts"), nameOf);
const log = new Log(byId("log"), nameOfId);
const desk = new Desk(byId("desk"), say);
const tabs = new Tabs(byId("tabs"), [
  { id: "charts", word: "charts", panel: byId("charts") },
  { id: "log", word: "log", panel: byId("log") },
  { id: "desk", word: "drill", panel: byId("desk") },
]);
const alarmBar = new AlarmBar(byId("alarms"), byId("announcer"), {
  nameOf, ageText, select: (id) => select(id), waits: (key) => commands.waits(key),
  acknowledge: async (standing) => {
    const { unit, alarm } = standing;
    const verb = answerTo(alarm, unit.state.status?.verbs) || "alarm.ack";
    const what = `${word(ANSWER_WORDS[verb])} ${titleOf(alarm)}`;
    // A second tap of a hasty finger is no such word.
    if (verb === "air.clean" && !await ask({
      title: what, text: word("alarm.clean.text", { name: nameOf(unit) }),
      yes: word("alarm.clean"), no: word("alarm.clean.no"),
    })) return;
    void commands.give({
      unit: unit.id, name: nameOf(unit), verb, args: { alarm: alarm.alarm }, what, key: keyOf(standing),
    }).finally(redraw);
    redraw();
  },
  acknowledgeAll: async (standings, title) => {
    const n = standings.length;
    const all = word("alarm.ack.all", { n });
    if (!await ask({
      title: `${title}: ${all}`, text: word("alarm.ack.all.text", { n }), yes: all, no: word("cancel"),
    })) return;
    for (const one of standings) {
      void commands.give({
        unit: one.unit.id, name: nameOf(one.unit), verb: "alarm.ack", args: { alarm: one.alarm.alarm },
        what: `${word("alarm.ack")} ${titleOf(one.alarm)}`, key: keyOf(one),
      }).finally(redrawSoon);
    }
  },
});
labelled(byId("notice"), "notice.uncertified");
labelled(byId("skip"), "skip");
named(byId("alarms"), "alarms");
named(byId("map"), "map");
named(byId("units"), "units");
named(byId("dock"), "dock");
tabs.offer("desk", false);

/** @type {Map<string, Card>} */
const cards = new Map();

/** @param {string} id */
function select(id) {
  selected = selected === id ? "" : id;
  if (selected) {
    map.show(id);
    cards.get(id)?.node.scrollIntoView({ block: "nearest" });
  }
  redraw();
}

/** @type {import("./person.js").Order} */
function order(unit, verb, args, what) {
  void commands.give({ unit: unit.id, name: nameOf(unit), verb, args, what, key: `${unit.id}:${verb}` })
    .finally(redraw);
}

/** @param {Unit} unit @returns {Card} */
function cardOf(unit) {
  let card = cards.get(unit.id);
  if (!card) cards.set(unit.id, (card = new Card(unit.id, { nameOf, ageText, select, order })));
  return card;
}

/** @param {Unit} unit @returns {import("./marker.js").Caption} */
function captionOf(unit) {
  const worst = worstOf(unit.state.alarms);
  const old = unit.isOld(now());
  const age = unit.state.fix?.t ? ageText(now() - unit.state.fix.t) : "";
  return {
    name: nameOf(unit), age: old ? `${word("unit.old")} ${age}` : age, old,
    sign: worst ? signOf(worst) : "", open: worst !== undefined && isOpen(worst), selected: selected === unit.id, colour: colourOf(unit.id),
  };
}

function redrawUnits() {
  const units = fleet.inOrder();
  units.forEach((unit) => cardOf(unit).update(unit, selected === unit.id, now()));
  arrange(byId("cards"), units.map((unit) => cardOf(unit).node));
  for (const [id, card] of cards) {
    if (fleet.units.has(id)) continue;
    card.video.stop();
    cards.delete(id);
  }
  show(byId("no-units"), units.length === 0);
  setText(byId("no-units"), word("units.none"));
  map.update(units, captionOf);
}

function redrawAlarms() {
  const standing = fleet.alarms();
  alarmBar.update(standing, live.connected && broker !== "lost", now());
  siren.sound(standing.filter(({ unit, alarm }) => isOpen(alarm) && !isHeldBack(unit, alarm)).map((one) => (
    { id: `${keyOf(one)}:${one.alarm.state}:${one.alarm.rank}`, rank: one.alarm.rank })));
}

function redrawConnection() {
  const lost = !live.connected;
  const cut = broker === "lost";
  const strip = byId("connection");
  show(strip, lost || cut);
  const pageLost = live.heard
    ? word("page.lost", { age: ageText(Date.now() - live.heard) }) : word("page.never");
  setText(strip, `✕ ${lost ? pageLost : [word("broker.lost"), brokerDetail].filter(Boolean).join(" — ")}`);
  setClass(document.body, "stale", lost || cut);
  topBar.update({ page: live.connected, broker, org: hello?.org ?? "" }, now());
}

function redraw() {
  redrawUnits();
  redrawAlarms();
  redrawConnection();
  banner.update(hello?.exercise ?? false, drill);
  map.plume.update(hello?.instructor ? drill : null, map.datum);
  if (tabs.chosen === "charts") charts.update(fleet, now());
  if (tabs.chosen === "log") log.update(fleet);
  if (tabs.chosen === "desk") desk.update(drill);
}

/** @type {ReturnType<typeof setTimeout>|undefined} */
let waiting;
function redrawSoon() {
  waiting ??= setTimeout(() => {
    waiting = undefined;
    redraw();
  }, REDRAW_MS);
}

/** @param {Message} message */
function applyShown(message) {
  const left = shown(message, (unit) => fleet.units.get(unit)?.state.status);
  if (left) fleet.apply(left);
}

/** @param {Message} message */
function take(message) {
  switch (message.type) {
    case "hello":
      hello = message;
      ahead = message.now - Date.now();
      proposeLanguage(message.lang);
      tabs.offer("desk", message.exercise && message.instructor);
      void map.setSource(message.map);
      break;
    case "drill": drill = message.state; break;
    case "broker":
      broker = message.state === "up" ? "up" : "lost";
      brokerDetail = message.detail ?? "";
      break;
    default:
      applyShown(message);
      if (message.type === "ack") commands.take(message.record);
      if (message.type === "snapshot" || message.type === "status") startVideo();
  }
  redrawSoon();
}

/** In a drill the first camera plays by itself; a real unit's thin link is left to people. */
function startVideo() {
  if (!autoVideo || !hello?.exercise) return;
  redrawUnits();
  const first = [...cards.values()].find((card) => card.video.camera);
  if (!first) return;
  autoVideo = false;
  first.video.start();
}

// Any touch allows sound; the sound's own button does it by itself.
for (const kind of ["pointerdown", "keydown"]) {
  addEventListener(kind, ({ target }) => {
    if (!siren.armed && !topBar.sound.contains(/** @type {Node} */ (target))) void siren.arm();
  });
}
const live = new Live({ message: take, state: redrawSoon });
onLanguage(redraw);
byId("tabs").addEventListener("click", redraw);
byId("tabs").addEventListener("keydown", redraw);
setInterval(() => {
  commands.tick();
  redrawSoon();
}, 1000);
redraw();
