"""What a request for a response wants: whether it is kept, which conversation it goes on with."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from infergate.api.asker import Asker
from infergate.api.dialects import given
from infergate.api.dialects.responses.kept import KeptAs
from infergate.api.dialects.responses.translations import Responses as Translation
from infergate.api.dialects.translation import Body
from infergate.api.refusal import Refused
from infergate.api.responses.around import ResponsesAround
from infergate.api.threads import to_its_end
from infergate.contract.tier import KEPT_PREFIX
from infergate.store.responses import (
    OPEN,
    ChainBroken,
    ChainTooLong,
    StoredResponse,
    find_response,
    go_on_from,
    owner_of,
)

_RANDOM_BYTES = 16
_PREVIOUS = "previous_response_id"
_GONE_ON_WITH = ("completed", "incomplete")
_OF_ANSWER = "resp_"
_MOST_NAMED = 100
KEPT_ID = re.compile(rf"{KEPT_PREFIX}[0-9a-f]{{1,40}}")
"""Nothing else is asked of the database, which does not take every text."""
_ITEM = re.compile(rf"^[a-z]+_({KEPT_PREFIX.removeprefix(_OF_ANSWER)}[0-9a-f]+)_\d+$")


@dataclass(frozen=True)
class Wanted:
    """translation: of the request. stored: as it is kept, with the answer that there is not yet;
    None where it is not kept."""

    translation: Translation
    stored: StoredResponse | None

    @property
    def in_background(self) -> bool:
        return self.stored is not None and self.stored.in_background


async def wanted(around: ResponsesAround, asker: Asker, body: Body) -> Wanted:
    """body: the request's. Raises Refused, and StateError."""
    owner = await to_its_end(owner_of, around.database, asker.entry)
    kept = _kept(around, body)
    previous = given.optional_text(body.get(_PREVIOUS), _PREVIOUS)
    before = await before_it(around, owner, previous)
    body = {**body, "input": await _with_items(around, owner, body.get("input"))}
    translation = Translation({}, body, before, kept)
    if kept is None:
        return Wanted(translation, None)
    head = translation.head()
    stored = StoredResponse(
        id=head["id"],
        node=around.node,
        owner=owner,
        entry=asker.entry,
        client=asker.client,
        previous=previous or None,
        document=head,
        items=translation.items,
        created_at=kept.created_at,
    )
    if kept.in_background:
        rest = {name: value for name, value in body.items() if name != "input"}
        stored = replace(stored, document={**head, "status": "queued"}, asked=rest)
    return Wanted(translation, stored)


async def again(around: ResponsesAround, stored: StoredResponse) -> Translation:
    """Of one in the background, from what the store has of it. Raises Refused where the
    conversation is not there any more."""
    before = await before_it(around, stored.owner, stored.previous or "")
    identity = stored.id.removeprefix(_OF_ANSWER)
    kept = KeptAs(identity, stored.created_at, in_background=True)
    return Translation({}, {**(stored.asked or {}), "input": stored.items}, before, kept)


def _kept(around: ResponsesAround, body: Mapping[str, Any]) -> KeptAs | None:
    in_background = given.flag(body.get("background"), "background")
    store = around.settings().keep == "unless_refused"
    if body.get("store") is not None:
        store = given.flag(body["store"], "store")
    if in_background and not store:
        raise Refused("'background' needs 'store': true.", param="background")
    if not store:
        return None
    identity = KEPT_PREFIX.removeprefix(_OF_ANSWER) + secrets.token_hex(_RANDOM_BYTES)
    return KeptAs(identity, int(time.time()), in_background)


async def before_it(around: ResponsesAround, owner: str, previous: str) -> list[Body] | None:
    """The items of the conversation that a request goes on with; None where it begins one."""
    if not previous:
        return None
    if KEPT_ID.fullmatch(previous) is None:
        raise _not_found(previous, previous)
    most = around.largest()
    try:
        chain = await to_its_end(go_on_from, around.database, previous, owner, most)
    except ChainBroken as broken:
        raise _not_found(previous, broken.missing) from None
    except ChainTooLong:
        raise Refused(
            f"The conversation of {previous[:100]!r} is longer than the {most} bytes that this "
            "gateway takes at once.",
            status=413,
            param=_PREVIOUS,
        ) from None
    status = chain[-1].status
    if status not in _GONE_ON_WITH:
        why = "it has not ended" if status in OPEN else f"its status is {status!r}"
        raise Refused(f"The response {previous!r} cannot be gone on with: {why}.", param=_PREVIOUS)
    return conversation_of(chain)


def conversation_of(chain: Sequence[StoredResponse]) -> list[Body]:
    """What was asked and answered, in order."""
    return [item for each in chain for item in (*each.items, *each.document["output"])]


def _not_found(previous: str, missing: str) -> Refused:
    message = f"Previous response with id {previous[:100]!r} not found."
    if missing != previous:
        message = (
            f"The response {previous!r} cannot be gone on with: {missing!r} before it was deleted "
            "or has expired. Send the conversation in 'input'."
        )
    return Refused(message, param=_PREVIOUS, code="previous_response_not_found")


async def _with_items(around: ResponsesAround, owner: str, listed: Any) -> Any:
    """`input`, with the items themselves where it names some of answers that are kept."""
    named = [each for each in listed if _is_reference(each)] if isinstance(listed, list) else []
    if not named:
        return listed
    matches = (_ITEM.fullmatch(str(each.get("id"))) for each in named)
    ids = {_OF_ANSWER + match[1] for match in matches if match is not None}
    if len(ids) > _MOST_NAMED:
        message = f"'input' names items of more than {_MOST_NAMED} responses."
        raise Refused(message, param="input")
    kept: dict[str, Body] = {}
    for id_ in ids:
        found = await to_its_end(find_response, around.database, id_, owner)
        kept |= {each["id"]: each for each in ([] if found is None else found.document["output"])}
    return [kept.get(str(each.get("id")), each) if _is_reference(each) else each for each in listed]


def _is_reference(item: Any) -> bool:
    return isinstance(item, dict) and item.get("type") == "item_reference"
