import assert from "node:assert/strict";
import test from "node:test";
import { talkerOf } from "../../../agent/console/web/talker.js";

const talk = (t, state, by = "hq") => ({ t, event: "talk", data: { state, by } });

test("who has begun and not ended talks", () => {
  assert.equal(talkerOf([talk(1, "begins")], 2), "hq");
  assert.equal(talkerOf([talk(1, "begins"), talk(2, "ends")], 3), "");
  assert.equal(talkerOf([talk(1, "begins"), talk(2, "ends"), talk(3, "begins", "wu")], 4), "wu");
});

test("an end that was never told of is one after a while", () => {
  assert.equal(talkerOf([talk(0, "begins")], 1_000_000), "");
});

test("other events say nothing of it", () => {
  assert.equal(talkerOf([talk(1, "begins"), { t: 2, event: "watch" }], 3), "hq");
  assert.equal(talkerOf([], 3), "");
});
