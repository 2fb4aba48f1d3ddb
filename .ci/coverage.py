"""Fail unless line coverage is 100 % in nn/ and at least 95 % in the package."""

import json
import sys
from pathlib import Path

files = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))["files"]


def share(part: str) -> float:
    """The covered share of the lines under a folder, in percent."""
    summaries = [found["summary"] for path, found in files.items() if f"jaxmlp/{part}" in path]
    return 100 * sum(s["covered_lines"] for s in summaries) / sum(s["num_statements"] for s in summaries)


nn, package = share("nn/"), share("")
print(f"line coverage: nn {nn:.2f} %, package {package:.2f} %")
sys.exit(nn < 100 or package < 95)
