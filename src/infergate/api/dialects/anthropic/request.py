"""A request of /v1/messages → one of /v1/chat/completions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infergate.api.dialects import given
from infergate.api.dialects.anthropic import conversation
from infergate.api.dialects.anthropic.version import Version
from infergate.api.dialects.translation import Body
from infergate.api.refusal import Refused

_EFFORT = {
    "low": "low",
    "medium": "medium",
    "high": "high",
    # Few models know more than "high", and servers refuse what the model does not know.
    "xhigh": "high",
    "max": "high",
}
_NEEDS_ANTHROPIC = ("container", "mcp_servers")
_PASSED = ("temperature", "top_p", "top_k")


def chat_request(body: Body, version: Version) -> Body:
    """The whole request. Raises Refused."""
    asked = prompt(body, version)
    asked["max_tokens"] = given.whole_number(body.get("max_tokens"), "max_tokens", 1)
    for name in _PASSED:
        if body.get(name) is not None:
            asked[name] = given.number(body[name], name)
    stops = given.optional_sequence(body.get("stop_sequences"), "stop_sequences")
    if stops:
        asked["stop"] = [given.text(each, "stop_sequences") for each in stops]
    metadata = given.optional_mapping(body.get("metadata"), "metadata")
    if metadata.get("user_id") is not None:
        asked["user"] = given.text(metadata["user_id"], "metadata.user_id")
    asked["stream"] = given.flag(body.get("stream"), "stream")
    if asked["stream"]:
        asked["stream_options"] = {"include_usage": True}
    return asked


def prompt(body: Body, version: Version) -> Body:
    """What decides how many tokens a prompt has: all that count_tokens takes."""
    version.check(body)
    for name in _NEEDS_ANTHROPIC:
        if body.get(name):
            raise Refused(f"'{name}' cannot be had from this model's server.", param=name)
    asked: Body = {
        "model": given.text(body.get("model"), "model"),
        "messages": conversation.messages(body, version),
    }
    last = asked["messages"][-1]
    if last["role"] == "assistant" and not last.get("tool_calls"):
        # vLLM's and SGLang's words for going on with it; llama.cpp does so by itself.
        asked |= {"add_generation_prompt": False, "continue_final_message": True}
    _tools(asked, body)
    _output(asked, body)
    return asked


def _tools(asked: Body, body: Body) -> None:
    tools = given.optional_sequence(body.get("tools"), "tools")
    if not tools:
        return
    asked["tools"] = [_tool(each, f"tools.{number}") for number, each in enumerate(tools)]
    choice = given.optional_mapping(body.get("tool_choice"), "tool_choice")
    if not choice:
        return
    match choice.get("type"):
        case "auto" | "none" as same:
            asked["tool_choice"] = same
        case "any":
            asked["tool_choice"] = "required"
        case "tool":
            name = given.text(choice.get("name"), "tool_choice.name")
            asked["tool_choice"] = {"type": "function", "function": {"name": name}}
        case _:
            raise Refused(
                "'tool_choice.type' must be auto, any, tool or none.", param="tool_choice.type"
            )
    if given.flag(choice.get("disable_parallel_tool_use"), "tool_choice.disable_parallel_tool_use"):
        asked["parallel_tool_calls"] = False


def _tool(value: Any, where: str) -> Body:
    tool = given.mapping(value, where)
    kind = tool.get("type")
    if kind not in (None, "custom"):
        raise Refused(
            f"'{where}': the tool '{kind}' runs at Anthropic only. Tools of your own are without "
            "'type', or have 'custom' there.",
            param=where,
        )
    function: Body = {
        "name": given.text(tool.get("name"), f"{where}.name"),
        "parameters": given.mapping(tool.get("input_schema"), f"{where}.input_schema"),
    }
    if tool.get("description") is not None:
        function["description"] = given.text(tool["description"], f"{where}.description")
    if tool.get("strict") is not None:
        function["strict"] = given.flag(tool["strict"], f"{where}.strict")
    return {"type": "function", "function": function}


def _output(asked: Body, body: Body) -> None:
    """`output_config` and `thinking`."""
    wanted = given.optional_mapping(body.get("output_config"), "output_config")
    shape = given.optional_mapping(wanted.get("format"), "output_config.format")
    if shape:
        if shape.get("type") != "json_schema":
            raise Refused("'output_config.format.type' must be json_schema.", param="output_config")
        schema = given.mapping(shape.get("schema"), "output_config.format.schema")
        named = {"name": "output", "schema": schema, "strict": True}
        asked["response_format"] = {"type": "json_schema", "json_schema": named}
    effort = _effort(wanted, given.optional_mapping(body.get("thinking"), "thinking"))
    if effort:
        asked["reasoning_effort"] = effort


def _effort(wanted: Body, thinking: Body) -> str:
    """How much the model is to think; "" leaves it to the model."""
    kind = thinking.get("type")
    if kind == "disabled":
        return "none"
    if kind not in (None, "enabled", "adaptive", "between_tools"):
        raise Refused("'thinking.type' must be enabled, adaptive or disabled.", param="thinking")
    if wanted.get("effort") is not None:
        effort = given.text(wanted["effort"], "output_config.effort")
        if effort not in _EFFORT:
            raise Refused(
                f"'output_config.effort' must be one of {', '.join(_EFFORT)}.",
                param="output_config.effort",
            )
        return _EFFORT[effort]
    if kind != "enabled":
        return ""
    budget = given.whole_number(thinking.get("budget_tokens"), "thinking.budget_tokens", 1)
    return "low" if budget < 4096 else "medium" if budget < 16384 else "high"


def shows_thinking(body: Body) -> bool:
    """Whether the client wants to see what the model thinks: unless it says that it does not."""
    thinking = body.get("thinking")
    if not isinstance(thinking, Mapping):
        return True
    return thinking.get("type") != "disabled" and thinking.get("display") != "omitted"
