"""A request of /v1/responses → one of /v1/chat/completions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from infergate.api.dialects import given
from infergate.api.dialects.responses import conversation
from infergate.api.dialects.translation import Body
from infergate.api.refusal import Refused

_EFFORTS = {
    **{each: each for each in ("none", "minimal", "low", "medium", "high")},
    # Few models know more than "high", and servers refuse what the model does not know.
    "xhigh": "high",
    "max": "high",
}
_CAN_BE_KEPT = "answers are not kept here unless the gateway has `api.responses`"
_NEEDS_STORE = {
    "previous_response_id": f"{_CAN_BE_KEPT}: send the conversation in 'input'",
    "background": f"{_CAN_BE_KEPT}: ask for a stream",
    "conversation": "conversations are not kept here: send the messages in 'input'",
    "prompt": "prompts are not kept here: send it in 'instructions' and 'input'",
}


def chat_request(
    body: Body, before: Sequence[conversation.Item] | None, *, in_background: bool = False
) -> Body:
    """The whole request. before: the items of what `previous_response_id` names, where somebody
    keeps them. in_background: somebody makes it while nobody waits. Raises Refused."""
    had = {"previous_response_id": before is not None, "background": in_background}
    for name, why in _NEEDS_STORE.items():
        if body.get(name) and not had.get(name):
            raise Refused(f"'{name}' cannot be had from this model's server: {why}.", param=name)
    instructions = given.optional_text(body.get("instructions"), "instructions")
    own = conversation.items(body.get("input"))
    asked: Body = {
        "model": given.text(body.get("model"), "model"),
        "messages": conversation.messages(instructions, before or (), own),
        "stream": given.flag(body.get("stream"), "stream"),
    }
    if asked["stream"]:
        asked["stream_options"] = {"include_usage": True}
    if body.get("max_output_tokens") is not None:
        longest = given.whole_number(body["max_output_tokens"], "max_output_tokens", 1)
        asked["max_tokens"] = longest
    for name in ("temperature", "top_p"):
        if body.get(name) is not None:
            asked[name] = given.number(body[name], name)
    if body.get("user") is not None:
        asked["user"] = given.text(body["user"], "user")
    _tools(asked, body)
    _output(asked, body)
    return asked


def _tools(asked: Body, body: Body) -> None:
    listed = given.optional_sequence(body.get("tools"), "tools")
    tools = [_tool(each, f"tools.{number}") for number, each in enumerate(listed)]
    if not tools:
        return
    asked["tools"] = tools
    choice = body.get("tool_choice")
    if choice is not None:
        _choose(asked, choice)
    if body.get("parallel_tool_calls") is not None:
        parallel = given.flag(body["parallel_tool_calls"], "parallel_tool_calls")
        asked["parallel_tool_calls"] = parallel


def _tool(value: Any, where: str) -> Body:
    tool = given.mapping(value, where)
    kind = given.text(tool.get("type"), f"{where}.type")
    if kind != "function":
        raise Refused(
            f"'{where}': the tool '{kind}' cannot be had from this model's server; only functions "
            "can.",
            param=where,
        )
    function: Body = {"name": given.text(tool.get("name"), f"{where}.name")}
    if tool.get("description") is not None:
        function["description"] = given.text(tool["description"], f"{where}.description")
    if tool.get("parameters") is not None:
        function["parameters"] = given.mapping(tool["parameters"], f"{where}.parameters")
    if tool.get("strict") is not None:
        function["strict"] = given.flag(tool["strict"], f"{where}.strict")
    return {"type": "function", "function": function}


def _choose(asked: Body, choice: Any) -> None:
    if choice in ("auto", "none", "required"):
        asked["tool_choice"] = choice
        return
    of = given.mapping(choice, "tool_choice")
    if of.get("type") == "function":
        name = given.text(of.get("name"), "tool_choice.name")
        asked["tool_choice"] = {"type": "function", "function": {"name": name}}
    elif of.get("type") == "allowed_tools" and of.get("mode") in ("auto", "required"):
        named = given.sequence(of.get("tools"), "tool_choice.tools")
        names = [given.mapping(each, "tool_choice.tools").get("name") for each in named]
        asked["tools"] = [each for each in asked["tools"] if each["function"]["name"] in names]
        if not asked["tools"]:
            raise Refused("'tool_choice.tools' names none of 'tools'.", param="tool_choice")
        asked["tool_choice"] = of["mode"]
    else:
        raise Refused(
            "'tool_choice' must be auto, none, required, or name functions.", param="tool_choice"
        )


def _output(asked: Body, body: Body) -> None:
    """`text.format` and `reasoning`."""
    text = given.optional_mapping(body.get("text"), "text")
    shape = given.optional_mapping(text.get("format"), "text.format")
    match shape.get("type", "text"):
        case "text":
            pass
        case "json_object":
            asked["response_format"] = {"type": "json_object"}
        case "json_schema":
            named: Body = {
                "name": given.text(shape.get("name"), "text.format.name"),
                "schema": given.mapping(shape.get("schema"), "text.format.schema"),
            }
            if shape.get("description") is not None:
                about = given.text(shape["description"], "text.format.description")
                named["description"] = about
            if shape.get("strict") is not None:
                named["strict"] = given.flag(shape["strict"], "text.format.strict")
            asked["response_format"] = {"type": "json_schema", "json_schema": named}
        case _:
            raise Refused(
                "'text.format.type' must be text, json_object or json_schema.", param="text.format"
            )
    effort = given.optional_mapping(body.get("reasoning"), "reasoning").get("effort")
    if effort is not None:
        if not isinstance(effort, str) or effort not in _EFFORTS:
            raise Refused(
                f"'reasoning.effort' must be one of {', '.join(_EFFORTS)}.",
                param="reasoning.effort",
            )
        asked["reasoning_effort"] = _EFFORTS[effort]
