"""Several reports side by side: python -m tests.conformance.columns NAME=report.json …"""

from __future__ import annotations

import json
import sys
from pathlib import Path

MARKS = {"pass": "yes", "fail": "**no**", "skip": "–"}


def table(reports: dict[str, Path]) -> str:
    """A Markdown table with a column for each report, and why checks failed below it."""
    found = {name: json.loads(path.read_text()) for name, path in reports.items()}
    rows: dict[tuple[str, str], dict[str, dict[str, str]]] = {}
    for name, report in found.items():
        for each in report["results"]:
            rows.setdefault((each["group"], each["name"]), {})[name] = each
    lines = ["| | check | " + " | ".join(found) + " |", "|---|---|" + "---|" * len(found)]
    for (group, check), cells in rows.items():
        marks = [MARKS[cells[name]["outcome"]] if name in cells else "–" for name in found]
        lines.append(f"| {group} | {check} | " + " | ".join(marks) + " |")
    summaries = [f"{name}: {report['summary']}." for name, report in found.items()]
    reasons = [
        f"- {name}, {group}: {check}: {cells[name]['reason'][:200]}"
        for (group, check), cells in rows.items()
        for name in found
        if name in cells and cells[name]["outcome"] == "fail"
    ]
    why = ["", "What the failures say:", "", *reasons] if reasons else []
    return "\n".join([*summaries, "", *lines, *why]) + "\n"


if __name__ == "__main__":
    print(table({name: Path(path) for name, _, path in (a.partition("=") for a in sys.argv[1:])}))
