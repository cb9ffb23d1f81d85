"""Looks through rendered nginx files for what nginx would take and nobody wants.

The second lock behind the templates: each rule (lint_rules.py) says one thing that has to hold for
every gateway, whatever the YAML says and whoever edited a template.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from infergate.config.root import Config
from infergate.errors import LintError

_LOOPBACK = ("127.", "localhost", "[::1]")


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong. rule: its name; where: file:line below the revision's folder."""

    rule: str
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what} ({self.rule})"


class NginxBlock:
    """One directive of nginx, what is inside it, and what it is inside of."""

    def __init__(self, given: Mapping[str, Any], outer: NginxBlock | None = None) -> None:
        self.name: str = given["directive"]
        self.arguments: Sequence[str] = given["args"]
        self.file: str = given["file"]
        self.line: int = given["line"]
        self.outer = outer
        self.inner = [NginxBlock(each, self) for each in given.get("block", ())]

    def all(self, name: str) -> Iterator[NginxBlock]:
        """Every directive of this name in here, however deep."""
        return iter(self._by_name.get(name, ()))

    @cached_property
    def _by_name(self) -> Mapping[str, Sequence[NginxBlock]]:
        """Thirty rules look through ten thousand directives."""
        found: dict[str, list[NginxBlock]] = {}
        for each in self.everything():
            found.setdefault(each.name, []).append(each)
        return found

    def everything(self) -> Iterator[NginxBlock]:
        """Every directive in here, however deep."""
        for each in self.inner:
            yield each
            yield from each.everything()

    def own(self, name: str) -> list[NginxBlock]:
        """Those of this name that stand in here themselves."""
        return [each for each in self.inner if each.name == name]

    def holds(self, name: str) -> list[NginxBlock]:
        """Those that count here: its own, else those of the nearest block around it that has any.
        nginx's array directives (proxy_set_header, error_page) are inherited so, too."""
        here = self.own(name)
        return here if here or self.outer is None else self.outer.holds(name)

    def around(self, name: str) -> NginxBlock | None:
        """The nearest block of this name around this one."""
        outer = self.outer
        return outer if outer is None or outer.name == name else outer.around(name)


def is_beyond_loopback(server: NginxBlock) -> bool:
    """Whether others than this machine reach it. A server without `listen` is at port 80."""
    addresses = [listen.arguments[0] for listen in server.own("listen")] or ["80"]
    return any(not each.startswith(("unix:", *_LOOPBACK)) for each in addresses)


def is_entered_from_outside(location: NginxBlock) -> bool:
    """Whether a request can name it: named and internal ones are reached from inside only."""
    return not location.arguments[0].startswith("@") and not location.own("internal")


def parse(folder: Path) -> NginxBlock:
    """The files of a revision as one tree. Raises LintError if they cannot be read."""
    import crossplane  # only here: it is slow to load

    main = str(folder / "nginx.conf")
    payload = crossplane.parse(main, comments=False, check_args=False, check_ctx=False)
    if payload["status"] != "ok":
        wrong = payload["errors"][0]
        raise LintError(f"cannot be read: {wrong['error']}", where=str(wrong["file"]))
    inner = _joined(payload["config"][0]["parsed"], main, payload["config"])
    return NginxBlock({"directive": "", "args": [], "file": main, "line": 1, "block": inner})


def _joined(
    directives: Sequence[Mapping[str, Any]], file: str, files: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """Directives with those of included files in their places, each with its own file. crossplane's
    `combine` names the included file for all that follow an include."""
    found: list[Mapping[str, Any]] = []
    for each in directives:
        if each["directive"] == "include":
            for other in (files[at] for at in each["includes"]):
                found += _joined(other["parsed"], other["file"], files)
        elif "block" in each:
            found.append({**each, "file": file, "block": _joined(each["block"], file, files)})
        else:
            found.append({**each, "file": file})
    return found


def lint(folder: Path, config: Config) -> tuple[Finding, ...]:
    """Everything in the rendered files below folder that breaks a rule."""
    from infergate.nginx.lint_rules import RULES

    tree = parse(folder)
    return tuple(
        Finding(name, _where(block, folder), what)
        for name, rule in RULES.items()
        for block, what in rule(tree, config)
        if not is_by_hand(Path(block.file), folder)
    )


def is_by_hand(file: Path, folder: Path) -> bool:
    """Whether an operator wrote it, who may include files from anywhere: our own are only linked in
    sites-enabled. What theirs say is for `hand_written.examine` to judge."""
    ours = file.is_relative_to(folder) and not file.is_relative_to(folder / "sites-enabled")
    return not ours and not file.is_symlink()


def _where(block: NginxBlock, folder: Path) -> str:
    path = Path(block.file)
    shown = path.relative_to(folder) if path.is_relative_to(folder) else path
    return f"{shown}:{block.line}"


def refuse_findings(folder: Path, config: Config) -> None:
    """Raises LintError with all findings."""
    findings = lint(folder, config)
    if findings:
        lines = "\n  ".join(str(finding) for finding in findings)
        raise LintError(
            f"the nginx files break a rule:\n  {lines}",
            where=str(folder),
            hint="They come from Infergate's templates: please report it with your YAML.",
        )
