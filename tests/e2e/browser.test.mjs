import assert from "node:assert/strict";
import test from "node:test";
import { totp } from "./browser.mjs";

test("codes match the vectors of RFC 6238 appendix B", () => {
  const secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
  assert.equal(totp(secret, 0, 59_000), "287082");
  assert.equal(totp(secret, 0, 1_111_111_109_000), "081804");
  assert.equal(totp(secret, 0, 20_000_000_000_000), "353130");
});
