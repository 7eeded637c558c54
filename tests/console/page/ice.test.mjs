import assert from "node:assert/strict";
import test from "node:test";
import { iceServers } from "../../../agent/console/web/ice.js";

test("several servers are folded into one header, and quoted strings may hold commas", () => {
  const header = '<stun:stun.example.net>; rel="ice-server", '
    + '<turn:turn.example.net?transport=udp>; rel="ice-server"; username="a,b;\\"c"; '
    + 'credential="p<w>"; credential-type="password", '
    + '<turns:[2001:db8::1]:443>;REL=ice-server;username=u;credential=c';
  assert.deepEqual(iceServers(header), [
    { urls: "stun:stun.example.net" },
    { urls: "turn:turn.example.net?transport=udp", username: 'a,b;"c', credential: "p<w>" },
    { urls: "turns:[2001:db8::1]:443", username: "u", credential: "c" },
  ]);
});

test("what cannot be used is left out", () => {
  for (const header of [
    null, "", "nonsense", '<https://example.net>; rel="ice-server"', '<stun:a>; rel="next"', "<stun:a>",
    '<turn:a>; rel="ice-server"',
    '<turn:a>; rel="ice-server"; username="u"; credential="c"; credential-type="oauth"',
  ]) {
    assert.deepEqual(iceServers(header), [], String(header));
  }
});
