"""Functions of a joined program that are called once stand where they are called."""

from __future__ import annotations

import re

import pytest

from infergate.nginx.njs_inline import inlined


def squeezed(text: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r" *// .*", "", text)).strip()


def check(before: str, after: str) -> None:
    assert squeezed(inlined(before)) == squeezed(after)


def test_a_value_with_a_name_is_given_to_it_where_the_function_returns() -> None:
    check(
        """
        function a$find(list, key) {
            for (let i = 0; i < list.length; i++) {
                if (list[i] === key) {
                    return i;
                }
            }
            return -1;
        }
        function a$go(r) {
            const list = r.list;
            const at = a$find(list, r.key);
            return at + 1;
        }
        export default { go: a$go };
        """,
        """
        function a$go(r) {
            const list = r.list;
            let at;
            a$find: {
                let key = r.key;
                for (let i = 0; i < list.length; i++) {
                    if (list[i] === key) {
                        { at = i; break a$find; }
                    }
                }
                at = -1;
            }
            return at + 1;
        }
        export default { go: a$go };
        """,
    )


def test_what_is_returned_as_it_is_keeps_its_returns_and_a_name_of_both_is_changed() -> None:
    check(
        """
        function a$told(r) { const text = r.text; if (text) { return text; } }
        function a$go(r) { const text = r.more; return a$told(text); }
        export default { go: a$go };
        """,
        """
        function a$go(r) { const text = r.more; {
            const text$2 = text.text; if (text$2) { return text$2; }
            return undefined;
        } }
        export default { go: a$go };
        """,
    )


def test_one_within_another_ends_the_outer_one_where_it_returns() -> None:
    check(
        """
        function a$inner(x) { if (x.a) { return 1; } return 2; }
        function a$outer(y) { if (y.b) { return a$inner(y); } return 3; }
        function a$go(r) { const z = r.z; if (a$outer(z) > 1) { return z; } return r; }
        export default { go: a$go };
        """,
        """
        function a$go(r) { const z = r.z; let its;
        a$outer: {
            if (z.b) {
                a$inner: {
                    if (z.a) { { its = 1; break a$inner; } }
                    its = 2;
                }
                break a$outer;
            }
            its = 3;
        }
        if (its > 1) { return z; } return r; }
        export default { go: a$go };
        """,
    )


def test_an_expression_stands_anywhere() -> None:
    check(
        """
        function a$isLarge(x) { return x.length > 3; }
        function a$go(r) { const b = r.b; return b && a$isLarge(b); }
        export default { go: a$go };
        """,
        """
        function a$go(r) { const b = r.b; return b && (b.length > 3); }
        export default { go: a$go };
        """,
    )


def test_what_several_call_is_made_with_the_lazy_file_that_has_them() -> None:
    check(
        """
        function b$two() { let x = 1; x++; return x; }
        function a$() {
            function a$one(r) { return r.map(b$two); }
            function a$three(r) { return r.some(b$two); }
            return { one: a$one, three: a$three };
        }
        export default { go: () => a$() };
        """,
        """
        function a$() {
            function b$two() { let x = 1; x++; return x; }
            function a$one(r) { return r.map(b$two); }
            function a$three(r) { return r.some(b$two); }
            return { one: a$one, three: a$three };
        }
        export default { go: () => a$() };
        """,
    )


CALLED = "function a$f(x) {{ {} }}\nfunction a$go(r) {{ const y = r.y; {} }}\n"


@pytest.mark.parametrize(
    ("body", "call"),
    [
        pytest.param("x.a = 1; return x;", "return y || a$f(y);", id="perhaps"),
        pytest.param("x.a = 1; return x;", "return r.next() + a$f(y);", id="after something else"),
        pytest.param("x.a = 1; return x;", "return r.map((z) => a$f(z));", id="in an expression"),
        pytest.param("x.a = 1; return x;", "while (a$f(y)) { r.go(); }", id="again and again"),
        pytest.param("x.a = 1; return x;", "a$f(y); a$f(r);", id="twice"),
        pytest.param(
            "x.a = 1; return x;", "if (r.z) { r.go(); } else if (a$f(y)) { y(); }", id="else"
        ),
        pytest.param("x.a = 1; return x;", "a$f(y, r.go());", id="more than it takes"),
        pytest.param("return this.a;", "return a$f(y);", id="this"),
        pytest.param(
            "const z = 1; return z + Number(x);", "const Number = 1; a$f(y + Number);", id="hidden"
        ),
        pytest.param("x.a = 1; return a$f(x);", "return y;", id="itself"),
        pytest.param(
            "const z = x; return () => z;", "for (;;) { y(a$f(r)); }", id="made in a loop"
        ),
        pytest.param(
            "const z = x; r.g(() => z);",
            "for (;;) { a$f(r); }",
            id="made in a loop, as a statement",
        ),
    ],
)
def test_what_is_not_certain_stays_a_call(body: str, call: str) -> None:
    text = CALLED.format(body, call) + "export default { go: a$go };\n"
    assert inlined(text) == text


def test_a_function_without_variables_gets_none() -> None:
    """What each piece of a stream calls: a variable costs it, used or not."""
    text = (
        "function a$f(x) { const z = x.b; return z(z); }\n"
        "function a$go(r) { if (r.a) { a$f(r); } r.c(); }\nexport default { go: a$go };\n"
    )
    assert inlined(text) == text


def test_what_can_be_another_later_is_kept_as_it_was() -> None:
    made = inlined(
        "function a$f(x) { const z = x; x = 2; return [z, x]; }\n"
        "function a$go(r) { let y = r.y; const w = a$f(y); return [w, y]; }\n"
        "export default { go: a$go };\n"
    )
    assert "let x = y;" in made
    made = inlined(
        "function a$f(x) { return { x: () => x }; }\n"
        "function a$go(r) { let y = r.y; const w = a$f(y); y = 2; return w; }\n"
        "export default { go: a$go };\n"
    )
    assert "let x = y;" in made
