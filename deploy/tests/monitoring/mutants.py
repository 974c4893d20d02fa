"""Shows that the rules' tests can fail: `mutants.py FOLDER_OF_RULES SCRATCH`.

Once no alert ever fires, once all always do; each alert must be missed, and found too much.
"""  # noqa: INP001  a script's folder

import re
import shutil
import subprocess
import sys
from pathlib import Path

from tally import Tally

ALERT = re.compile(r"(- alert: (\w+)\n +expr: )\|\n(?: {10}.*\n)+")
FAILURE = re.compile(r'alertname=\\"(\w+)\\".*\n +exp: (.*)\n +got: (.*)\n')
TESTS = ("rules_test.yml", "rules_days_test.yml")


def main(rules: Path, scratch: Path) -> int:
    """Check both mutants; 0 if each alert's tests noticed both."""
    tally = Tally()
    text = (rules / "rules.yml").read_text()
    alerts = [name for _, name in ALERT.findall(text)]
    never = {name for name, _, got in _failures(rules, scratch, "vector(0) > 1") if got == "nil"}
    always = {name for name, wanted, _ in _failures(rules, scratch, "vector(1)") if wanted == "nil"}
    for name in alerts:
        tally.that(f"refused: {name} that never fires", [] if name in never else ["unnoticed"])
        tally.that(f"refused: {name} that always fires", [] if name in always else ["unnoticed"])
    tally.that("alerts were found", [] if len(alerts) == text.count("- alert:") else [str(alerts)])
    return tally.end()


def _failures(rules: Path, scratch: Path, expression: str) -> list[tuple[str, str, str]]:
    """Return (alert, wanted, got) of the tests that fail when every alert is `expression`."""
    folder = scratch / "mutant"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(rules, folder)
    broken = ALERT.sub(rf"\g<1>{expression}\n", (rules / "rules.yml").read_text())
    (folder / "rules.yml").write_text(broken)
    done = subprocess.run(  # noqa: S603  a fixed command
        ["promtool", "test", "rules", *TESTS],  # noqa: S607  Debian's, by the path
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return FAILURE.findall(done.stdout + done.stderr)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
