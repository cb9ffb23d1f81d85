"""What to tell the programs that people use, so that they ask this gateway: one table, which
`infergate connect` prints and the page shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import Field

from infergate.admin.gateway import Gateway
from infergate.admin.operation import Document, operation
from infergate.config.url import url_of


@dataclass(frozen=True)
class ClientProgram:
    """A program. where: what the text goes into. text: has {url}, {key} and {model} in it."""

    title: str
    where: str
    text: str
    note: str = ""


CLIENTS: Mapping[str, ClientProgram] = {
    "curl": ClientProgram(
        "curl",
        "a shell",
        """\
curl {url}/v1/chat/completions \\
  -H "Authorization: Bearer {key}" \\
  -H "Content-Type: application/json" \\
  -d '{"model": "{model}", "messages": [{"role": "user", "content": "Hello"}]}'
""",
    ),
    "openai": ClientProgram(
        "OpenAI SDK",
        "Python",
        """\
from openai import OpenAI

client = OpenAI(base_url="{url}/v1", api_key="{key}")
answer = client.chat.completions.create(
    model="{model}",
    messages=[{"role": "user", "content": "Hello"}],
)
print(answer.choices[0].message.content)
""",
    ),
    "langchain": ClientProgram(
        "LangChain",
        "Python, with langchain-openai",
        """\
from langchain_openai import ChatOpenAI

model = ChatOpenAI(base_url="{url}/v1", api_key="{key}", model="{model}")
print(model.invoke("Hello").content)
""",
    ),
    "open-webui": ClientProgram(
        "Open WebUI",
        "its environment, or Admin Settings, Connections",
        """\
OPENAI_API_BASE_URL={url}/v1
OPENAI_API_KEY={key}
""",
        "In a container, the gateway's address is not localhost: use this machine's name.",
    ),
    "continue": ClientProgram(
        "Continue",
        "~/.continue/config.yaml",
        """\
name: infergate
version: 1.0.0
schema: v1
models:
  - name: {model}
    provider: openai
    model: {model}
    apiBase: {url}/v1
    apiKey: {key}
    roles: [chat, edit, apply]
""",
    ),
    "claude-code": ClientProgram(
        "Claude Code",
        "a shell",
        """\
export ANTHROPIC_BASE_URL={url}
export ANTHROPIC_AUTH_TOKEN={key}
export ANTHROPIC_MODEL={model}
export ANTHROPIC_SMALL_FAST_MODEL={model}
claude
""",
    ),
    "codex": ClientProgram(
        "Codex",
        "~/.codex/config.toml, and the key in the environment: INFERGATE_KEY={key}",
        """\
model = "{model}"
model_provider = "infergate"

[model_providers.infergate]
name = "infergate"
base_url = "{url}/v1"
env_key = "INFERGATE_KEY"
wire_api = "responses"
""",
    ),
    "aider": ClientProgram(
        "aider",
        "a shell",
        """\
export OPENAI_API_BASE={url}/v1
export OPENAI_API_KEY={key}
aider --model openai/{model}
""",
    ),
    "n8n": ClientProgram(
        "n8n",
        "Credentials, OpenAI",
        """\
API Key:  {key}
Base URL: {url}/v1
""",
        "Then choose the model {model} in the OpenAI Chat Model node.",
    ),
    "lm-studio": ClientProgram(
        "LM Studio",
        "the plugin lmstudio/openai-compat-endpoint",
        """\
Override Base URL: {url}/v1
API Key:           {key}
Model:             {model}
""",
        "LM Studio itself talks to its own models only; as a backend it needs no settings.",
    ),
}
"""By the name that the command line takes."""


def settings(client: ClientProgram, url: str, key: str, model: str) -> ClientProgram:
    """What to tell it of this gateway."""

    def filled(text: str) -> str:
        for name, value in (("{url}", url), ("{key}", key), ("{model}", model)):
            text = text.replace(name, value)
        return text

    return ClientProgram(
        client.title, filled(client.where), filled(client.text), filled(client.note)
    )


class ClientSettings(Document):
    """A program, and what to tell it. In its texts, {url}, {key} and {model} are to be put in."""

    name: str
    title: str
    where: str = Field(description="What the text goes into.")
    text: str
    note: str


class ClientList(Document):
    """Every program that is known."""

    url: str = Field(description="Where clients on the gateway's machine reach it.")
    items: list[ClientSettings]


@operation("GET", "/clients")
def list_clients(gateway: Gateway) -> ClientList:
    """What to tell the programs that people use, so that they ask this gateway."""
    return ClientList(
        url=url_of(gateway.loaded.config),
        items=[ClientSettings(name=name, **vars(each)) for name, each in CLIENTS.items()],
    )
