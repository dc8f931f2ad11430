"""Print a set-up command of the README, so that what is checked is what is promised."""

import re
import sys
from pathlib import Path

readme = Path(__file__).parents[1] / "README.md"
name = sys.argv[1]
found = re.findall(
    rf"<!-- command: {re.escape(name)} -->\s*```bash\n(.+?)\n```", readme.read_text("utf-8"), re.S
)
if len(found) != 1:
    sys.exit(f"README.md has {len(found)} commands marked {name!r}, expected 1")
print(found[0])
