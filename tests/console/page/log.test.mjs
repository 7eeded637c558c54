import assert from "node:assert/strict";
import test from "node:test";
import { Fleet } from "../../../agent/console/web/fleet.js";
import { sentence } from "../../../agent/console/web/log.js";

const event = (name, more = {}) => sentence({ kind: "event", body: { t: 1, event: name, ...more } });

test("what a person did is told in words", () => {
  const command = (verb, outcome, code, by = "console") =>
    event("command", { source: "center", detail: "English", data: { verb, id: "1", by, outcome, code } });
  assert.equal(command("alarm.ack", "done", "ok"), "指挥台：确认报警，已执行 · English");
  assert.equal(command("video.start", "refused", "not_authorised", "wang_li"),
    "wang_li：开始传图，被拒绝：无权限 · English");
  assert.equal(command("own.verb", "failed", "own_code", ""), "某人：own.verb，失败：own code · English");
  assert.equal(event("watch", { source: "center", data: { by: "console", camera: "front", code: "ok" } }),
    "指挥台 观看视频 front，已执行");
  assert.equal(event("watch", { data: { by: "console", camera: "", code: "unavailable" }, detail: "busy" }),
    "指挥台 观看视频，被拒绝：暂不可用 · busy");
});

test("other events are states of their source", () => {
  assert.equal(event("source_down", { source: "gas1", detail: "no such device" }), "仪器离线 · gas1 · no such device");
  assert.equal(event("store_trouble", { source: "store", late: true }), "磁盘写不进 · 存储 · (补传)");
  assert.equal(event("camera", { source: "front", data: { state: "down" } }), "摄像机故障 · front");
  assert.equal(event("clock_corrected", { data: { offset_ms: -61_234 } }), "时钟校正，偏差 -61.2 秒");
  assert.equal(event("exposure_closed", { source: "exposure", detail: "handover", data: { wearer: "李强" } }),
    "李强 的接触剂量结算 · 交接");
  assert.equal(event("own_event", { source: "x" }), "own event · x");
});

test("alarms name their source, and who acknowledged", () => {
  const alarm = { t: 1, code: "high", rank: 1, change: "acknowledged", state: "acknowledged", source: "gas1",
    quantity: "cl2", limit: 1, reading: { t: 1, quantity: "cl2", value: 1.2, unit: "ppm" }, by: "panel" };
  assert.equal(sentence({ kind: "alarm", body: alarm }), "确认 氯气 Cl₂ 高报警 1.20 ≥ 1.00 ppm [gas1] 本机按钮");
  const sos = { ...alarm, code: "sos", quantity: "sos", source: "panel", change: "raised", by: "", reading: null };
  assert.equal(sentence({ kind: "alarm", body: sos }), "报警 按下求救");
  const bus = { ...alarm, code: "bus", quantity: "any", source: "head", change: "raised", by: "", reading: null };
  assert.equal(sentence({ kind: "alarm", body: bus }), "报警 head 总线无应答");
});

test("an answer stands in the log once, as the unit's own event", () => {
  const fleet = new Fleet();
  fleet.apply({ type: "ack", unit: "ex-a", record: { t: 1, id: "1", verb: "alarm.ack", outcome: "done" } });
  fleet.apply({ type: "event", unit: "ex-a", record: { t: 1, event: "command", data: { verb: "alarm.ack" } } });
  assert.deepEqual(fleet.log.map(({ kind }) => kind), ["event"]);
});
