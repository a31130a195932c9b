"""A stand-in for systemd's ukify: it writes JSON and tells of it as the real one does.

FAKE_UKIFY in the environment says what goes wrong.
"""

from __future__ import annotations

import sys
from pathlib import Path

FAKE = f"""#!{sys.executable}
import hashlib, json, os, sys
from pathlib import Path

mode = os.environ.get("FAKE_UKIFY", "")
verb, *words = sys.argv[1:]
if verb == "inspect":
    if mode == "old":
        sys.exit("ukify: error: unrecognized arguments")
    if mode == "chatty":
        sys.exit(print("no JSON"))
    file, how = words
    assert how == "--json=short"
    sections = json.loads(Path(file).read_text())
    told = {{n: (len(v) // 2, hashlib.sha256(bytes.fromhex(v)).hexdigest())
            for n, v in sections.items()}}
    print(json.dumps({{n: {{"size": s, "sha256": d}} for n, (s, d) in told.items()}}))
    sys.exit()
given = dict(word[2:].split("=", 1) for word in words)
if mode == "fails":
    sys.exit("stub not found: linuxx64.efi.stub")
sections = {{".linux": Path(given["linux"]).read_bytes(),
            ".initrd": Path(given["initrd"]).read_bytes(),
            ".uname": given["uname"].encode(), ".osrel": given["os-release"].encode()}}
if "cmdline" in given:
    sections[".cmdline"] = given["cmdline"].encode()
if mode.startswith("wrong "):
    sections[mode[6:]] += b"!"
if mode.startswith("lacks "):
    del sections[mode[6:]]
output = Path(given["output"])
output.write_text(json.dumps({{n: v.hex() for n, v in sections.items()}}))
if mode == "open":
    output.chmod(0o644)
"""


def make_ukify(folder: Path) -> Path:
    """Put it into the new `folder`, which is returned."""
    folder.mkdir()
    (folder / "ukify").write_text(FAKE)
    (folder / "ukify").chmod(0o755)
    return folder
