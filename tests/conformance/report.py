"""What came out: one result per check, as text, Markdown or JSON."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

Outcome = Literal["pass", "fail", "skip"]


@dataclass(frozen=True)
class Result:
    """One check. reason: why it failed or was skipped; a remark if it passed."""

    group: str
    name: str
    outcome: Outcome
    reason: str
    seconds: float

    def __str__(self) -> str:
        text = f"{self.outcome.upper()}  {self.group}: {self.name}"
        return f"{text} ({self.reason})" if self.reason else text


@dataclass(frozen=True)
class Report:
    """All results of one run against one gateway."""

    url: str
    results: tuple[Result, ...]

    @property
    def passed(self) -> bool:
        """Nothing failed. Skipped checks do not count, but a run of nothing is no success."""
        return bool(self.results) and not self.failures

    @property
    def failures(self) -> list[Result]:
        return [each for each in self.results if each.outcome == "fail"]

    def summary(self) -> str:
        counted = Counter(each.outcome for each in self.results)
        return f"{counted['pass']} passed, {counted['fail']} failed, {counted['skip']} skipped"

    def to_json(self) -> str:
        results = [asdict(each) for each in self.results]
        found = {"url": self.url, "summary": self.summary(), "results": results}
        return json.dumps(found, indent=2) + "\n"

    def to_markdown(self) -> str:
        lines = [f"# Conformance of {self.url}", "", f"{self.summary()}.", ""]
        lines += ["| group | check | outcome | reason | s |", "|---|---|---|---|---|"]
        for each in self.results:
            reason = each.reason.replace("|", "\\|").replace("\n", " ")
            name = each.name.replace("|", "\\|")
            lines.append(
                f"| {each.group} | {name} | {each.outcome} | {reason} | {each.seconds:.1f} |"
            )
        return "\n".join([*lines, ""])

    def write(self, path: Path) -> None:
        """As the file's ending says: .json, or Markdown."""
        path.write_text(self.to_json() if path.suffix == ".json" else self.to_markdown())
