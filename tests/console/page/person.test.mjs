import assert from "node:assert/strict";
import test from "node:test";
import { shown } from "../../../agent/console/web/discreet.js";
import { isHeldBack, linesOf } from "../../../agent/console/web/person.js";

const NOW = 1_790_000_000_000;
const texts = (person) => linesOf({ protected: true, ...person }, NOW).map(({ text }) => text);
const said = (person) => texts(person).slice(0, -1);

test("a caller for help sees how far the call has come", () => {
  const sos = (stage, more = {}) => said({ sos: { stage, since: NOW - 5000, ...more } });
  assert.deepEqual(sos("queued"), ["求救：已记录，尚未送出"]);
  assert.deepEqual(sos("reached"), ["求救：已送达服务器，待人确认"]);
  assert.deepEqual(sos("unconfirmed"), ["求救：尚无人确认，重复报警中"]);
  assert.deepEqual(sos("confirmed", { by: "hq/wang" }), ["求救：hq/wang 已确认"]);
  assert.deepEqual(sos("cancelled", { by: "panel", reason: "safe" }), ["求救：本机按钮 已取消（已脱险）"]);
  assert.deepEqual(said({ sos: { stage: "confirmed", since: NOW - 3_600_000, by: "x" } }), []);
});

test("what is asked of a wearer counts down", () => {
  assert.deepEqual(said({ check_in: "waiting", check_in_due: NOW + 754_000 }), ["报平安：12:34 后"]);
  assert.deepEqual(said({ check_in: "due", check_in_due: NOW - 1000 }), ["请报平安"]);
  assert.deepEqual(said({ motion: "prealarm", no_motion_at: NOW + 22_400 }), ["静止预警：23 秒后报警，请活动或按键"]);
});

test("only the zones that it is in are named", () => {
  const zones = [
    { id: "tank", kind: "hot", inside: true, name: { zh: "储罐区" } },
    { id: "camp", kind: "cold", inside: false }, { id: "road", kind: "warm" },
  ];
  assert.deepEqual(said({ zones }), ["在热区 储罐区"]);
});

test("the heart says why it does not beat, in words", () => {
  assert.deepEqual(texts({}), ["♥ 仪器正常"]);
  assert.deepEqual(texts({ protected: false, unprotected: ["cl2: silent", "co: warmup"] }),
    ["✕ 无防护：cl2 无数据; co 预热"]);
  assert.deepEqual(texts({ protected: undefined, unprotected: ["no_sensor"] }), ["✕ 无防护：没有气体仪器"]);
});

test("only the page on board is quiet while it drives, and never of what is urgent", () => {
  const unit = (driving, verbs) => ({ state: { status: { verbs, person: { driving } } } });
  const here = ["sos.raise"], away = ["alarm.ack"];
  assert.equal(isHeldBack(unit(true, here), { rank: 3 }), true);
  assert.equal(isHeldBack(unit(true, here), { rank: 2 }), false);
  assert.equal(isHeldBack(unit(false, here), { rank: 4 }), false);
  assert.equal(isHeldBack(unit(true, away), { rank: 4 }), false);
  assert.equal(isHeldBack({ state: { status: null } }, { rank: 4 }), false);
});

test("a silent call is not seen where it was made, and seen everywhere else", () => {
  const sos = { stage: "reached", silent: true, since: NOW };
  const status = (verbs) => ({ verbs, person: { sos, protected: true } });
  const alarms = [{ code: "sos_silent" }, { code: "low" }];
  const messages = [
    { type: "active", unit: "u", alarms }, { type: "alarm", unit: "u", record: alarms[0] },
    { type: "event", unit: "u", record: { event: "sos_reached", data: { silent: true } } },
    { type: "event", unit: "u", record: { event: "command", data: { verb: "sos.confirm" } } },
  ];
  const away = () => status(["sos.confirm"]), here = () => status(["sos.raise"]);
  for (const message of messages) assert.deepEqual(shown(message, away), message);
  assert.deepEqual(messages.map((message) => shown(message, here)),
    [{ type: "active", unit: "u", alarms: [alarms[1]] }, null, null, null]);
  const snapshot = (verbs) => shown({ type: "snapshot", units: { u: { status: status(verbs), alarms,
    events: [messages[2].record, { event: "started" }] } } }, () => null).units.u;
  assert.deepEqual(snapshot(["sos.raise"]).alarms, [alarms[1]]);
  assert.deepEqual(snapshot(["sos.raise"]).events, [{ event: "started" }]);
  assert.equal(snapshot([]).alarms.length, 2);
  assert.deepEqual(linesOf(status([]).person, NOW, true).map(({ text }) => text), ["♥ 仪器正常 ··"]);
});
