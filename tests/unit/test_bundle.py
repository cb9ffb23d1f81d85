"""The files of njs, joined to one for each program."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

import pytest

from infergate.nginx.bundle import BundleError, bundle

FILES = {
    "count.js": (
        "// count: a count\nconst STEP = 2, WORD = 'a, b';\nlet total = 0;\n\n"
        "function add(x) {\n    total += x + STEP;   // STEP stays in a comment\n"
        "    return { total: total, word: WORD, add: 'add' };\n}\n\n"
        "function unused() {\n    return 1;\n}\n\n"
        "export default { add, WORD };\n"
    ),
    "rare.js": (
        "import fs from 'fs';\nimport count from 'count.js';\n\n"
        "function tell(r) {\n    return fs.readFileSync(r) + count.add(1);\n}\n\n"
        "export default { tell };\n"
    ),
    "main.js": (
        "import count from 'count.js';\nimport rare from 'rare.js';   // seldom\n\n"
        "function go(r) {\n    const add = count.add(1);\n"
        "    return r.add ? rare.tell(r) : use(count, rare) + add;\n}\n\n"
        "export default { go, add: count.add };\n"
    ),
}


def joined(**changed: str) -> str:
    files = {**FILES, **{f"{name}.js": text for name, text in changed.items()}}
    return bundle("main.js", files.__getitem__)


def test_names_of_the_top_are_told_apart_and_constants_are_their_values() -> None:
    text = joined()
    assert "let count$total = 0;" in text
    assert "    count$total += x + 2;   // STEP stays in a comment\n" in text
    assert "return { total: count$total, word: 'a, b', add: 'add' };" in text
    assert "const STEP" not in text
    assert text.endswith("\nexport default { go: main$go, add: count$add };\n")


def test_what_is_seldom_needed_is_made_where_it_is_used() -> None:
    text = joined()
    assert "function rare$() {\n    const fs = require('fs');\n" in text
    assert "return r.add ? rare$().tell(r)" in text
    assert "use(({ add: count$add, WORD: 'a, b' }), rare$()) + add;" in text
    assert "import" not in text


def test_what_is_rarely_needed_is_made_together_and_once_for_all() -> None:
    text = joined(
        main=FILES["main.js"].replace("seldom", "rarely"),
        rare=FILES["rare.js"].replace("import count", "import odd from 'odd.js';\nimport count"),
        odd="function odd() {\n    return 1;\n}\n\nexport default { odd };\n",
    )
    top = re.findall(r"^function (\S+)\(", text, re.MULTILINE)
    assert top == ["count$add", "main$go", "rarely$"]
    assert re.findall(r"^    function (\S+)\(", text, re.MULTILINE) == ["odd$", "rare$"]
    assert "return r.add ? rarely$('rare').tell(r)" in text
    assert "    case 'rare': return rare$();\n" in text


@pytest.mark.parametrize("mark", ["seldom", "rarely"])
def test_a_constant_of_what_is_not_needed_makes_nothing_of_it(mark: str) -> None:
    """To ask for it made all that is rarely needed, for every request."""
    files = {
        "main.js": f"import rare from 'rare.js';   // {mark}\n\n"
        "function go(r) {\n    return r.add > rare.MOST ? rare.tell(r) : rare.NAME;\n}\n\n"
        "export default { go };\n",
        "rare.js": "const MOST = 7, NAME = 'x y';\n\nfunction tell(r) {\n    return MOST;\n}\n\n"
        "export default { MOST, NAME, tell };\n",
    }
    text = bundle("main.js", files.__getitem__)
    assert "r.add > 7 ? rare" in text
    assert ": 'x y';" in text


def test_what_is_seldom_needed_somewhere_is_not_among_what_is_rarely_needed() -> None:
    text = joined(
        main=FILES["main.js"].replace(
            "import rare", "import odd from 'odd.js';   // rarely\nimport rare"
        ),
        odd="import rare from 'rare.js';\n\nfunction odd() {\n    return rare.tell(1);\n}\n\n"
        "export default { odd };\n",
    )
    assert "\nfunction rare$() {" in text
    assert "rarely$" not in text, "nobody asks for what is in odd.js"


def test_what_nothing_names_is_left_out() -> None:
    assert "unused" not in joined()


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("main", FILES["main.js"].replace("count.add(1)", "count.sub(1)"), "does not export sub"),
        (
            "main",
            FILES["main.js"].replace("\nexport", "\nfoo();\nexport") + "x();\n",
            "last statement",
        ),
        ("count", FILES["count.js"].replace("total: total", "total"), "write { total: … }"),
        (
            "rare",
            FILES["rare.js"].replace("function tell", "let x = 0;\n\nfunction tell"),
            "a variable",
        ),
    ],
)
def test_what_would_be_joined_wrongly_is_refused(name: str, text: str, said: str) -> None:
    with pytest.raises(BundleError, match=re.escape(said)):
        joined(**{name: text})


def test_every_program_of_ours_can_be_joined_and_keeps_no_module() -> None:
    folder = Path(str(resources.files("infergate.nginx")))
    templates = [path.read_text() for path in (folder / "templates").rglob("*.j2")]
    names = {
        name for text in templates for name in re.findall(r"js_import .* from (\w+\.js)", text)
    }
    for entry in sorted(names | {"service.js", "websocket.js"}):
        text = bundle(entry, lambda name: (folder / "njs" / name).read_text())
        assert not re.search(r"^import \w+ from '\w+\.js'", text, re.MULTILINE)
        assert text.count("\nexport default ") == 1
