"""The list of commands as `infergate --help` prints it: by what people want to do."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup

SECTIONS = {
    "Run it": (
        "up",
        "down",
        "status",
        "ready",
        "connect",
        "validate",
        "doctor",
        "support-bundle",
        "version",
    ),
    "See it": ("top", "logs", "explain", "metrics"),
    "Change it": (
        "check",
        "plan",
        "diff",
        "apply",
        "reload",
        "rollback",
        "history",
        "backend",
        "import",
        "render",
        "schema",
    ),
    "Who may do what, and did": ("keys", "teams", "policies", "usage", "batches"),
    "Keep it safe": ("audit", "bans", "cert", "waf", "admin"),
    "Install, move and keep it": (
        "deploy",
        "engine",
        "cache",
        "backup",
        "restore",
        "migrate",
        "completion",
    ),
}
"""Title → commands; each is in one of them (tests/unit/test_cli.py)."""

EXAMPLES = (
    ("infergate up", "start, with the backends of this machine if there is no file"),
    ("infergate keys create alice", "make a key"),
    ("infergate check && infergate apply", "activate a changed file"),
    ("infergate backend drain gpu1", "let a box finish, and give it no more"),
    ("infergate usage --by key,day", "who used what"),
    ("infergate doctor", "what is wrong, and the cure"),
)


class Sections(TyperGroup):
    """Click's list of commands, in sections, and examples below."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - click's
        width = max(map(len, self.commands))
        room = formatter.width - width - 6
        for title, names in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl(
                    [
                        (name.ljust(width), self.commands[name].get_short_help_str(room))
                        for name in names
                    ]
                )
        with formatter.section("Examples"):
            formatter.write_dl(list(EXAMPLES), col_max=40)
