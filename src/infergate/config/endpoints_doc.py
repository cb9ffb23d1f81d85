"""docs/endpoints.md, from the table of paths: `python -m infergate.config.endpoints_doc`."""

from __future__ import annotations

from infergate.config import endpoints
from infergate.kinds import KINDS

_PAGE = """# Paths

Written by `python -m infergate.config.endpoints_doc`; edit `src/infergate/config/endpoints.py`.

What the API's host answers. A slash at the end and `//` change nothing; what stands behind `/v1/`
may stand without it ({without}), or behind Azure's `/openai/`, `/openai/v1/` and
`/openai/deployments/NAME/`: the body's model decides. Everything else is 404, or a
[service](services.md).

| path | whom it goes to |
|---|---|
{rows}
A model that is served by no such engine: 404 `unknown_endpoint`, which says who would; on
Ollama's paths 400 `wrong_dialect`, which says where to ask instead; with a section `api:` it is
translated where it can be ([dialects.md](dialects.md)). While an engine has not said
yet what it is: 503. A model that nobody has, or that is not for this key: 404 `model_not_found`;
but 503 with `Retry-After` where every model is served and a backend has not told its models yet.

## What clients need to know

- **Streams**: the tokens of every stream are the engine's own count, whatever its
  `stream_options` say: vLLM, SGLang, llama.cpp and Ollama are asked for them where the client
  does not, and it sees nothing of that. Only the last event of a choice waits for the next one,
  which engines send with it.
- **Codex** opens a WebSocket on `/v1/responses` first. It is relayed to backends with `websocket:
  true`, for keys that may use every model and have no limit, budget, team or end; where neither
  their models nor all have `limits`. The gateway does not read what goes through it: each message
  names a model as the backend calls it and uses tokens that are not counted, and nothing that a
  model's settings say holds there. It ends within a second after its key is revoked or is held
  to something. All else is 426, after which Codex goes on by HTTP. No engine tells whether it has
  one; vLLM's is an open pull request (#35492).
- **Claude Code** begins its system prompt with `x-anthropic-billing-header: …`, another one in
  each request, which would keep every engine from using its cache. It goes to Anthropic's own
  servers only. Nothing else is taken out: dates, folders and git's state in the prompts of agents
  mean something to the model. `anthropic-beta` and all other headers go on as they are; an
  `anthropic-version` that there is not is refused, one that is missing is not.
- **GET /v1/models** has what engines say of a model: `created`, `owned_by`, `root`, `parent`,
  `max_model_len`, llama.cpp's `meta`, `tags` and `aliases`, which are asked for like the name.
  **GET /version** has the versions of the engines and of the gateway.
- **Names of models** that Ollama serves are good in any case, as they are there.
- **Files of models** (`/api/blobs/`) may be of any size, and need a key that may manage.
- **Answers by their id** (`/v1/responses/ID`): the backends of the key's models are asked which has
  it; `x-infergate-backend` names one. Who knows an id may read the answer, as at the engines.
- A **WebSocket** counts as one request, without tokens, and ends with its key, as one of a
  [service](services.md): within a second. A stream that has begun is finished.
"""


def page() -> str:
    """The whole page."""
    some = {**endpoints.SOME_HAVE, **endpoints.SOME_HAVE_FORMS}
    rows = dict.fromkeys(endpoints.JSON_PATHS, "any backend of the model")
    rows |= dict.fromkeys(endpoints.FORM_PATHS, "any backend of the model; a form")
    rows |= dict.fromkeys(endpoints.OLLAMA_HAS, "Ollama")
    for path, kinds in some.items():
        rows[path] = _named(kinds)
    for path, kinds in endpoints.WEBSOCKETS.items():
        rows[path] = f"{_named(kinds)}; a WebSocket, with `?model=`"
    for path in ("ID", "ID/cancel", "ID/input_items"):
        rows[endpoints.STORED + path] = f"{_named(endpoints.KEEPERS)}; whichever has it"
    rows |= dict.fromkeys(endpoints.LIST_PATHS, "the gateway, as far as the key may")
    rows |= dict.fromkeys((*endpoints.MANAGE_PATHS, endpoints.BLOBS), "one Ollama, to manage it")
    rows |= dict.fromkeys(
        (*endpoints.OUR_HEALTH, *endpoints.HEALTH_PATHS), "the gateway, without a key"
    )
    grouped: dict[str, list[str]] = {}
    for path, whom in rows.items():
        grouped.setdefault(whom, []).append(f"`{path}`")
    return _PAGE.format(
        rows="".join(f"| {', '.join(paths)} | {whom} |\n" for whom, paths in grouped.items()),
        without=", ".join(f"`/{each}`" for each in endpoints.WITHOUT_V1[:3]) + " …",
    )


def _named(kinds: frozenset[str]) -> str:
    return ", ".join(each.title for name, each in KINDS.items() if name in kinds)


if __name__ == "__main__":
    print(page(), end="")
