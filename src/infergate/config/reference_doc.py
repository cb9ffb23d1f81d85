"""docs/configuration.md, written from the models: `python -m infergate.config.reference_doc`."""

from __future__ import annotations

from typing import Any

from infergate.config.json_schema import json_schema

INTRODUCTION = """# infergate.yaml

Written by `python -m infergate.config.reference_doc`; edit the descriptions in
`src/infergate/config/`. The smallest file:

```yaml
backends:
  gpu1: http://127.0.0.1:11434
```

- **Short forms**: a backend may be its URL, `listen` a port, a model the list of its backends,
  `waf` and `bans` a mode.
- **Durations** are `500ms`, `3s`, `5m`, `1h`, `7d` or seconds; **sizes** `512k`, `20MB`, `1G`
  (powers of 1024) or bytes; **rates** `10r/s` or `30r/m`.
- **Environment**: `${NAME}` inside any text is replaced; `$${` is a literal `${`. Secrets belong
  there; one in clear text draws a warning.
- **Paths** are relative to the file's folder.
- **Mistakes** are told all at once, each as `file:line:column: message (did you mean …?)`, by
  `infergate check` and by every other command. What is accepted and not built yet draws a warning.
- **Editors**: `infergate schema` prints the JSON Schema; a copy is `docs/infergate.schema.json`.

Models: with no `models:` every model that a backend has is served. With `models:` only the named
ones are, and `"*"` stands for every other model of its backends.
"""

_ORDER = (
    "Config",
    "Listen",
    "Tls",
    "TlsFiles",
    "Acme",
    "Eab",
    "Hsts",
    "TlsHost",
    "Auth",
    "DeclaredKey",
    "Limits",
    "PerIp",
    "SlowClients",
    "Access",
    "Errors",
    "Backend",
    "Discover",
    "Health",
    "Model",
    "Timeouts",
    "Price",
    "Cache",
    "KeptAnswers",
    "Store",
    "Usage",
    "Keep",
    "Service",
    "Forward",
    "Rules",
    "ServiceWaf",
    "Waf",
    "Exclusion",
    "Bans",
    "Offences",
    "Admin",
)
_TITLES = {
    "Config": "The file",
    "DeclaredKey": "auth.keys.NAME",
    "Backend": "backends.NAME",
    "Discover": "backends.NAME.discover",
    "Model": "models.NAME",
    "Service": "services.NAME",
    "TlsFiles": "tls.files",
    "Acme": "tls.acme",
    "Eab": "tls.acme.eab",
    "Hsts": "tls.hsts",
    "TlsHost": "tls.hosts.NAME",
    "PerIp": "limits.per_ip",
    "SlowClients": "limits.slow_clients",
    "Forward": "services.NAME.forward",
    "Rules": "services.NAME.access",
    "Timeouts": "models.NAME.timeouts",
    "Price": "models.NAME.price",
    "Cache": "models.NAME.cache",
    "KeptAnswers": "cache",
    "Keep": "usage.keep",
    "ServiceWaf": "services.NAME.waf",
    "Exclusion": "waf.exclude",
    "Offences": "bans.offences",
}


def reference() -> str:
    """The whole page."""
    schema = json_schema()
    sections = {"Config": schema, **schema["$defs"]}
    parts = [INTRODUCTION]
    for name in _ORDER:
        section = sections[name]
        section = section["anyOf"][0] if "anyOf" in section else section
        title = _TITLES.get(name, name.lower())
        parts.append(f"\n## {title}\n\n{section.get('description', '').splitlines()[0]}\n\n")
        parts.append(
            "| setting | what it takes | default | |\n|---|---|---|---|\n"
            + "".join(
                f"| `{field}` | {_takes(value)} | {_default(field, value, section)} "
                f"| {value.get('description', '')} |\n"
                for field, value in section["properties"].items()
            )
        )
    return "".join(parts)


def _takes(value: dict[str, Any]) -> str:
    if "$ref" in value:
        return "section"
    if "enum" in value:
        return ", ".join(f"`{option}`" for option in value["enum"])
    if "const" in value:
        return f"`{value['const']}`"
    if "anyOf" in value:
        return " or ".join(_takes(each) for each in value["anyOf"] if each.get("type") != "null")
    if value.get("type") == "array":
        return "list"
    if value.get("type") == "object":
        return "name: value"
    if isinstance(value.get("type"), list):
        return "text or number"
    return {"string": "text", "integer": "whole number", "boolean": "`true` or `false`"}.get(
        str(value.get("type")), str(value.get("type"))
    )


def _default(field: str, value: dict[str, Any], section: dict[str, Any]) -> str:
    if field in section.get("required", []):
        return "**needed**"
    default = value.get("default")
    if default in (None, [], {}) or isinstance(default, dict):
        return ""
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


if __name__ == "__main__":
    print(reference(), end="")
