"""Signs a command for an uplink that has `signers`, and prints the payload.  It needs cryptography
alone; nothing of Outpost is imported.

    openssl genpkey -algorithm ed25519 -out center.key
    openssl pkey -in center.key -pubout -out center.pem       (for the units: signers = [its path])
    topic=outpost/v1/hubei/cv-01/cmd/config.get
    python sign_command.py center.key $topic hq/duty-officer '{"table": "uplink"}' |
        mosquitto_pub -V 5 -h mqtt.example.org -q 1 -t $topic -s
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import time
import uuid
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key


def signed(key: Ed25519PrivateKey, topic: str, by: str, args: str, mark: str) -> str:
    """The payload.  `args` goes into it as it is: its very bytes are signed."""
    name, issued = str(uuid.uuid4()), round(time.time() * 1000)
    lines = [
        "outpost-command-v1", topic, name, by, str(issued),
        "",  # `expires`, where it is given
        mark, hashlib.sha256(args.encode()).hexdigest(),
    ]  # fmt: skip
    signature = key.sign("\n".join(lines).encode())
    sig = base64.b64encode(signature).decode()
    command = {"id": name, "by": by, "issued": issued, "mark": mark, "sig": sig}
    return json.dumps(command)[:-1] + f', "args": {args}}}'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("key", type=Path)
    parser.add_argument("topic")
    parser.add_argument("by")
    parser.add_argument("args", nargs="?", default="{}")
    parser.add_argument("--exercise", action="store_true")
    args = parser.parse_args()
    json.loads(args.args)
    key = load_pem_private_key(args.key.read_bytes(), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise SystemExit(f"{args.key}: expected an Ed25519 private key as PEM")
    mark = "exercise" if args.exercise else "actual"
    print(signed(key, args.topic, args.by, args.args, mark))  # noqa: T201


if __name__ == "__main__":
    main()
