"""What Claude Code asks, and what programs in between make of it."""

from __future__ import annotations


def claude_code(line: str, place: str, conversation: str) -> tuple[str, dict[str, object]]:
    """A path and a request of Claude Code, or of a program that made another dialect of it: its
    system prompt begins with a line that is another one in each request."""
    rest = "You are Claude Code." + conversation
    user = {"role": "user", "content": "hi"}
    blocks = [{"type": "text", "text": line}, {"type": "text", "text": rest}]
    if place == "many pieces":  # such a body is read as it is
        pieces = [
            {"role": "user", "content": conversation[at : at + 50]}
            for at in range(0, len(conversation), 50)
        ]
        return "/v1/chat/completions", {"messages": [{"role": "system", "content": line}, *pieces]}
    if place == "system":
        messages = [{"role": "user", "content": conversation}]
        return "/v1/messages", {"system": blocks, "messages": messages, "max_tokens": 9}
    content = {
        "a text": f"{line}\n{rest}",
        "a block": blocks,
        "one block": [{"type": "text", "text": f"{line}\n{rest}"}],
    }
    system = {"role": "system", "content": content[place]}
    return "/v1/chat/completions", {"messages": [system, user]}
