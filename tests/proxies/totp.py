"""Prints the current TOTP code (RFC 6238: SHA-1, 30 s, 6 digits). totp.py SECRET-IN-BASE32 [STEPS-AHEAD]"""

import base64
import hashlib
import hmac
import sys
import time

secret = "".join(sys.argv[1].split()).upper()
key = base64.b32decode(secret + "=" * (-len(secret) % 8))
step = int(time.time()) // 30 + (int(sys.argv[2]) if len(sys.argv) > 2 else 0)
digest = hmac.new(key, step.to_bytes(8, "big"), hashlib.sha1).digest()
offset = digest[-1] & 15
number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFFFFFF
print(f"{number % 1_000_000:06d}")
