"""The verdict on one thing that was looked at, and all of them as JUnit XML."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal
from xml.etree import ElementTree

Outcome = Literal["passed", "failed", "skipped"]

_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd]")
"""Characters that no XML 1.0 file may have, escaped or not."""


class Failed(Exception):
    """What was looked at is not as it should be; the text says why."""


class Skipped(Exception):
    """There is nothing to look at, or it cannot be looked at; the text says why."""


@dataclass(frozen=True)
class Result:
    """suite: health, acceptance, load or security. name: what was looked at, such as backend.gpu1.
    said: what was found; of one that failed, why."""

    suite: str
    name: str
    outcome: Outcome
    said: str
    took_s: float = 0.0


class Verdict:
    """What `checking` fills in: said is what is told if all went well."""

    said = ""


@contextmanager
def checking(suite: str, name: str, results: list[Result]) -> Iterator[Verdict]:
    """What happens inside is one check; its result is put to the others."""
    verdict, began = Verdict(), time.monotonic()
    outcome: Outcome = "passed"
    try:
        yield verdict
    except Failed as problem:
        outcome, verdict.said = "failed", str(problem)
    except Skipped as problem:
        outcome, verdict.said = "skipped", str(problem)
    results.append(Result(suite, name, outcome, verdict.said, time.monotonic() - began))


def junit(results: Sequence[Result]) -> str:
    """The format that CI systems read: a testsuite for each suite, a testcase for each result."""
    root = ElementTree.Element("testsuites", _counts(results))
    for suite in dict.fromkeys(each.suite for each in results):
        of_suite = [each for each in results if each.suite == suite]
        node = ElementTree.SubElement(root, "testsuite", {"name": suite, **_counts(of_suite)})
        for each in of_suite:
            about = {"classname": f"infergate.{suite}", "name": each.name}
            case = ElementTree.SubElement(node, "testcase", about | {"time": f"{each.took_s:.3f}"})
            said = _NO_XML.sub("�", each.said)
            if each.outcome == "failed":
                ElementTree.SubElement(case, "failure", message=said)
            elif each.outcome == "skipped":
                ElementTree.SubElement(case, "skipped", message=said)
            elif said:
                ElementTree.SubElement(case, "system-out").text = said
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _counts(results: Sequence[Result]) -> dict[str, str]:
    return {
        "tests": str(len(results)),
        "failures": str(sum(each.outcome == "failed" for each in results)),
        "skipped": str(sum(each.outcome == "skipped" for each in results)),
        "time": f"{sum(each.took_s for each in results):.3f}",
    }
