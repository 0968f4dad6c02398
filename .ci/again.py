# SPDX-License-Identifier: Apache-2.0
"""What of a failed run may be tried again, alone: one test a line.

Whole machines keep the time of whatever runs beside them. A test of theirs that failed is run a
second time, and the run says so: it is to be mended all the same. Of the other tiers no test is,
nor if many failed; then this says which, and ends with exit code 1.
"""

import json
import sys
from pathlib import Path

MACHINES = ("tests/netns/", "tests/vm/")
MOST = 4
LAST_FAILED = Path(".pytest_cache/v/cache/lastfailed")


def main() -> int:
    """Exit code 0 if what failed may be tried again."""
    try:
        failed = list(json.loads(LAST_FAILED.read_text()))
    except (OSError, ValueError) as error:
        print(f"nothing is known of what failed: {error}", file=sys.stderr)
        return 1
    for_good = [test for test in failed if not test.startswith(MACHINES) or "::" not in test]
    if for_good or not 0 < len(failed) <= MOST:
        print(*(for_good or failed), sep="\n", file=sys.stderr)
        return 1
    print(*failed, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
