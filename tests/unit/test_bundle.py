"""The files of njs, joined to one for each program."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

import pytest

from infergate.nginx.bundle import bundle
from infergate.nginx.njs_module import BundleError

COUNT = """\
// count: a count
const STEP = 2, WORD = 'a, b';
let total = 0;

function add(x) {
    total += x + STEP;   // STEP stays in a comment
    return { total: total, word: WORD, add: 'add' };
}

function unused() {
    return 1;
}

export { add, WORD };
"""

RARE = """\
import fs from 'fs';
import * as count from './count.js';

function tell(r) {
    return fs.readFileSync(r) + count.add(1);
}

function untold() {
    return 2;
}

export { tell, untold };
"""

MAIN = """\
import * as count from './count.js';
import * as rare from './rare.js' with { load: 'lazy' };

function go(r) {
    const add = count.add(1);
    return r.add ? rare.tell(r) : use(count) + add;
}

export { go };
export { add } from './count.js';
"""

ODD = """\
function odd() {
    return 1;
}

export { odd };
"""


def joined(main: str = MAIN, **changed: str) -> str:
    files = {"main.js": main, "count.js": COUNT, "rare.js": RARE, "odd.js": ODD}
    files |= {f"{name}.js": text for name, text in changed.items()}
    return bundle("main.js", files.__getitem__)


def one(body: str, top: str = "") -> str:
    """A program of one file with the function go(r) of this body."""
    return joined(f"{top}\nfunction go(r) {{\n{body}\n}}\n\nexport {{ go }};\n")


def test_names_of_the_top_are_told_apart_and_constants_are_their_values() -> None:
    text = joined()
    assert "let count$total = 0;" in text
    assert "    count$total += x + 2;   // STEP stays in a comment\n" in text
    assert "return { total: count$total, word: 'a, b', add: 'add' };" in text
    assert "const STEP" not in text
    assert "use(({ add: count$add, WORD: 'a, b' }))" in text
    assert text.endswith("\nexport default { go: main$go, add: count$add };\n")


def test_what_is_lazy_is_made_where_it_is_used() -> None:
    text = joined()
    assert "function rare$() {\n    const fs = require('fs');\n" in text
    assert "return r.add ? rare$().tell(r)" in text
    assert "    return { tell: rare$tell };\n" in text, "and no more of it than is used"
    assert "untold" not in text
    assert "import" not in text


def test_what_is_rare_is_made_together_and_once_for_all() -> None:
    text = joined(
        MAIN.replace("lazy", "rare"),
        rare="import * as odd from './odd.js';\n" + RARE.replace("(r) +", "(odd.odd()) +"),
    )
    top = re.findall(r"^function (\S+)\(", text, re.MULTILINE)
    assert top == ["count$add", "main$go", "rarely$"]
    assert re.findall(r"^    function (\S+)\(", text, re.MULTILINE) == ["odd$", "rare$"]
    assert "return r.add ? rarely$('rare').tell(r)" in text
    assert "readFileSync(odd$().odd())" in text
    assert "    case 'rare': return rare$();\n" in text


@pytest.mark.parametrize("load", ["lazy", "rare"])
def test_a_constant_of_what_is_not_needed_makes_nothing_of_it(load: str) -> None:
    """To ask for it made all that is rarely needed, for every request."""
    text = joined(
        f"import * as rare from './rare.js' with {{ load: '{load}' }};\n\n"
        "function go(r) {\n    return r.add > rare.MOST ? rare.tell(r) : rare.NAME;\n}\n\n"
        "export { go };\n",
        rare="const MOST = 7, NAME = 'x y';\n\nfunction tell(r) {\n    return MOST;\n}\n\n"
        "export { MOST, NAME, tell };\n",
    )
    assert "r.add > 7 ? rare" in text
    assert ": 'x y';" in text


def test_what_is_lazy_somewhere_is_not_among_what_is_rare() -> None:
    text = joined(
        "import * as odd from './odd.js' with { load: 'rare' };\n" + MAIN,
        odd="import * as rare from './rare.js';\n" + ODD.replace("return 1", "return rare.tell(1)"),
    )
    assert "\nfunction rare$() {" in text
    assert "rarely$" not in text, "nobody asks for what is in odd.js"


def test_what_nothing_uses_is_left_out() -> None:
    text = joined()
    assert "unused" not in text
    both = "\nfunction a() {\n    return b();\n}\n\nfunction b() {\n    return a();\n}\n"
    assert "main$a" not in one("    return 1;", both)


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        ("    const here = 1;\n    return { here };", "return { here };"),
        ("    return { help };", "return { help: main$help };"),
        ("    return { STEP, r };", "return { STEP: 2, r };"),
        ("    return r.map(function (help) { return help + 1; });", "(help) { return help + 1; }"),
        ("    return r.map((help) => help(STEP));", "(help) => help(2)"),
        ("    { let help = 1; r(help); }\n    return help(r);", "return main$help(r)"),
        ("    { let help = 1; r(help); }\n    return help(r);", "let help = 1; r(help);"),
        ("    if (r) { var help = 1; }\n    return help;", "return help;"),
        ("    for (const help of r) { r(help); }\n    return help;", "of r) { r(help); }"),
        ("    for (const help of r) { r(help); }\n    return help;", "return main$help;"),
        ("    try { r(); } catch (help) { r(help); }", "catch (help) { r(help); }"),
        ("    function help() { return help; }\n    return help();", "return help();"),
        ("    return r.help ? { help: help(r) } : 0;", "r.help ? { help: main$help(r) } : 0"),
        (
            "    return { x: 1,\n        help: STEP, ['help']: help };",
            "help: 2, ['help']: main$help",
        ),
        ("    return `${help(r)} help`;", "`${main$help(r)} help`"),
        ("    return 'help // ' + help(r);", "'help // ' + main$help(r)"),
        ("    return r / help / STEP;", "r / main$help / 2"),
        ("    return /help[/]/.test(r) && help(r);", "/help[/]/.test(r) && main$help(r)"),
        ("    help: for (;;) { break help; }", "help: for (;;) { break help; }"),
        ("    return r.settings.x + settings.x;", "r.settings.x + settings$x"),
    ],
)
def test_a_name_is_what_the_language_says_it_is(body: str, wanted: str) -> None:
    text = one(body, "const STEP = 2;\n\nfunction help(x) {\n    return x;\n}\n")
    assert wanted in text


def test_a_function_may_be_exported_where_it_is_declared() -> None:
    text = joined(
        "import * as odd from './odd.js';\n\nfunction go(r) {\n    return odd.odd(odd);\n}\n\n"
        "export { go };\n",
        odd="export const ONE = 1;\n\n// What it is.\nexport function odd() {\n"
        "    return ONE;\n}\n",
    )
    assert "// What it is.\nfunction odd$odd() {\n    return 1;\n}" in text
    assert "return odd$odd(({ ONE: 1, odd: odd$odd }));" in text


def test_a_template_of_several_lines_stays_as_it_is() -> None:
    text = joined(rare="function tell(r) {\n    return `one\n  two`;\n}\n\nexport { tell };\n")
    assert "`one\n  two`" in text


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("main", MAIN.replace("count.add(1)", "count.sub(1)"), "count.js does not export sub"),
        ("main", MAIN + "foo();\n", "main.js:11:1: only functions, const and let"),
        ("main", MAIN + "function broken( {\n", "main.js:11:"),
        ("main", MAIN.replace("* as count", "count"), "main.js:1:1: write `import * as name from"),
        ("main", MAIN.replace("'lazy'", "'late'"), "main.js:2:35: write `with { load: 'lazy' }`"),
        ("main", MAIN.replace("= count.add(1)", "= count.add = 1"), "cannot be assigned"),
        ("main", MAIN.replace("count.add(1)", "count?.add(1)"), "write count.…"),
        ("main", MAIN.replace("{ go }", "{ gone }"), "main.js:9:10: gone is not declared here"),
        ("main", MAIN.replace("add = ", "a$b = "), "names with a $"),
        ("main", MAIN.replace("use(count)", "use(settings)"), "write settings.name"),
        ("count", COUNT.replace("unused()", "add()"), "add is there twice"),
        ("count", COUNT.replace("let total", "const { total }"), "njs has no destructuring"),
        ("count", "import * as main from './main.js';\n" + COUNT, "main.js → count.js → main.js"),
        ("rare", RARE.replace("function tell", "let x = 0;\n\nfunction tell"), "a variable (x)"),
    ],
)
def test_what_would_be_joined_wrongly_is_refused(name: str, text: str, said: str) -> None:
    with pytest.raises(BundleError, match=re.escape(said)):
        joined(**{name: text})


def test_every_program_of_ours_can_be_joined_and_has_all_that_it_uses() -> None:
    folder = Path(str(resources.files("infergate.nginx")))
    templates = [path.read_text() for path in (folder / "templates").rglob("*.j2")]
    names = {
        name for text in templates for name in re.findall(r"js_import .* from (\w+\.js)", text)
    }
    for entry in sorted(names | {"service.js", "websocket.js"}):
        text = bundle(entry, lambda name: (folder / "njs" / name).read_text())
        assert not re.search(r"^import .* from '\./", text, re.MULTILINE)
        assert text.count("\nexport default ") == 1
        code = re.sub(r"^\s*//.*\n", "", text, flags=re.MULTILINE)
        used = set(re.findall(r"(?<![\w$./^])(?!settings)\w+\$\w*", code))
        made = re.findall(r"(?:function|const|let|,) (\w+\$\w*)", code)
        assert used - set(made) == set(), entry
