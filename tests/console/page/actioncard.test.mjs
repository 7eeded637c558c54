import assert from "node:assert/strict";
import test from "node:test";
import { cardOf } from "../../../agent/console/web/actioncard.js";

test("an exceeded substance has its card, in the page's language", () => {
  assert.equal(cardOf({ quantity: "cl2", code: "high" }, "zh"), "/api/cards/cl2/zh");
  assert.equal(cardOf({ quantity: "ch4", code: "over_range" }, "en"), "/api/cards/ch4/en");
});

test("a broken sensor, a person and what has no card have none", () => {
  assert.equal(cardOf({ quantity: "cl2", code: "silent" }, "zh"), "");
  assert.equal(cardOf({ quantity: "sos", code: "sos" }, "zh"), "");
  assert.equal(cardOf({ quantity: "o2", code: "low" }, "zh"), "");
});
