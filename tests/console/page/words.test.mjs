import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import test from "node:test";
import { WORDS } from "../../../agent/console/web/words.js";

const WEB = new URL("../../../agent/console/web/", import.meta.url);
/** Groups whose words are looked up by a code off the wire. */
const CODED = /^(q|modifier|value|unit|signal|code|quality|evidence|profile|status|source|camera|change|event|part|closed|verb|outcome|ack|link|reason|unprotected|person\.sos|person\.check_in|person\.zone|talk|message|task|step|drill\.state|alarm\.state|age|selftest|selftest\.state|selftest\.item|signed|compass|why|way|recording|rec|rec\.why)\./;
/** The modules that hold words. */
const HOLD = ["words.js", "quantities.js", "codes.js", "personwords.js", "readywords.js", "readycodes.js",
  "recwords.js"];

test("each word is there in both languages, with the same fill-ins", () => {
  for (const [key, word] of Object.entries(WORDS)) {
    assert.deepEqual(Object.keys(word), ["zh", "en"], key);
    const fills = ({ zh, en }) => [zh, en].map((text) => [...text.matchAll(/\{\w+\}/g)].map(String).sort());
    const [zh, en] = fills(word);
    if (key !== "q.short") assert.deepEqual(zh, en, key);
    assert.ok(word.zh.trim() && word.en.trim(), key);
  }
});

test("no word is left over, and no other module has Chinese words of its own", () => {
  const sources = readdirSync(WEB).filter((name) => name.endsWith(".js") && !HOLD.includes(name))
    .map((name) => [name, readFileSync(new URL(name, WEB), "utf8")]);
  const all = sources.map(([, text]) => text).join("\n");
  for (const key of Object.keys(WORDS)) {
    if (!CODED.test(key)) assert.ok(all.includes(`"${key}"`) || /drill\.(pause|resume|inject|end)$/.test(key), key);
  }
  for (const [name, text] of sources) {
    const code = text.replace(/\/\*[^]*?\*\//g, "").replace(/\/\/.*$/gm, "")
      .replace('"演练 EXERCISE"', "");
    assert.doesNotMatch(code, /[\u4e00-\u9fff]/, name);
  }
});

test("no word is given twice", () => {
  const keys = HOLD.flatMap((name) =>
    [...readFileSync(new URL(name, WEB), "utf8").matchAll(/^ {2}"([^"]+)": \{/gm)].map(([, key]) => key));
  assert.ok(keys.length > 250);
  assert.deepEqual(keys.filter((key, at) => keys.indexOf(key) !== at), []);
  assert.deepEqual(new Set(keys), new Set(Object.keys(WORDS)));
});
