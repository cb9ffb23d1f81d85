"""JSON in the neighbourhood of what is right: what a client, or a backend, may send by mistake."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import strategies as st

_ATOMS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=4)
    | st.sampled_from(["text", "auto", "type", "\ud800", "{", "data:x"])
)
ANYTHING = st.recursive(
    _ATOMS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)


@st.composite
def near(draw: st.DrawFn, *right: Any) -> Any:
    """One of `right` with up to three of its values replaced, left out or put elsewhere."""
    found = copy.deepcopy(draw(st.sampled_from(right)))
    for _ in range(draw(st.integers(0, 3))):
        places = list(_places(found))
        if not places:
            break
        holder, key = places[draw(st.integers(0, len(places) - 1))]
        match draw(st.integers(0, 3)):
            case 0:
                del holder[key]
            case 1:
                other, place = places[draw(st.integers(0, len(places) - 1))]
                holder[key] = copy.deepcopy(other[place])
            case _:
                holder[key] = draw(ANYTHING)
    return found


def _places(value: Any) -> Any:
    keys = (
        value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    )
    for key in list(keys):
        yield value, key
        yield from _places(value[key])
