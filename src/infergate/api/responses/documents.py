"""The input of a response as its items are listed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from infergate.api.dialects.translation import Body
from infergate.api.files.documents import limit_of, list_document
from infergate.api.refusal import Refused
from infergate.store.responses import StoredResponse

_USUAL_LIST, _LONGEST_LIST = 20, 100


def items_document(chain: Sequence[StoredResponse], asked: Mapping[str, str]) -> Body:
    """What the last one was asked: all that was said before it, too. asked: limit, order, after.

    Raises Refused.
    """
    last = len(chain) - 1
    listed: list[Body] = []
    for place, each in enumerate(chain):
        listed += [_item(each.id, number, item) for number, item in enumerate(each.items)]
        listed += each.document["output"] if place != last else ()
    order = asked.get("order", "desc")
    if order not in ("asc", "desc"):
        raise Refused("order is asc or desc.", param="order")
    if order == "desc":
        listed.reverse()
    limit = limit_of(asked.get("limit"), usual=_USUAL_LIST, most=_LONGEST_LIST)
    if "after" in asked:
        at = next((n for n, each in enumerate(listed) if each["id"] == asked["after"]), None)
        if at is None:
            return list_document(None, dict)
        listed = listed[at + 1 :]
    return list_document((listed[:limit], len(listed) > limit), dict)


def _item(response: str, number: int, item: Body) -> Body:
    """With an id, and a message's content as a list."""
    kind = item.get("type", "message")
    found = {"id": f"{response.replace('resp', 'in', 1)}_{number}", **item, "type": kind}
    content = item.get("content")
    if kind == "message" and isinstance(content, str):
        part = "output_text" if item.get("role") == "assistant" else "input_text"
        found["content"] = [{"type": part, "text": content}]
    return found
