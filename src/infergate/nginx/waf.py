"""ModSecurity and the OWASP Core Rule Set: where they are, and what the templates say of them.

Two profiles. An inference request is judged by its URL and headers: prompts of code, SQL or HTML
are what such a gateway is for, and its own validation reads the body. A service's request is judged
whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from infergate.config.root import Config
from infergate.config.services import Service
from infergate.config.waf import Exclusion, Mode
from infergate.engine.facts import Engine
from infergate.errors import EngineError

RULES_FOLDERS = (
    Path("/usr/share/modsecurity-crs"),  # Debian, Ubuntu
    Path("/usr/share/coreruleset"),
    Path("/etc/nginx/owasp-crs"),
    Path("/usr/local/share/coreruleset"),
)
_SETUP = "REQUEST-901-INITIALIZATION.conf"
_UNICODE_MAPS = ("etc/nginx/unicode.mapping", "etc/modsecurity/unicode.mapping")

OUR_RULES = 10_000
"""The first of our own rules' numbers; 1 to 99,999 are for local use (ModSecurity's manual, id)."""

_RULES_EACH = 1_000
"""Numbers for the API and for each service: an exclusion may need one."""


@dataclass(frozen=True)
class Firewall:
    """What the engine brings.

    modules: the .so files to load; empty where ModSecurity is built in.
    folder: of the Core Rule Set's files.
    rules: those that judge requests, by name, in their order.
    unicode_map: ModSecurity's table of code points; None where there is none.
    """

    modules: tuple[str, ...]
    folder: Path
    rules: tuple[str, ...]
    unicode_map: Path | None


@dataclass(frozen=True)
class Profile:
    """One set of rules as the templates see it: the API's, or a service's."""

    name: str
    mode: Mode
    first_rule: int
    max_members: int
    max_text: int
    exclude: tuple[Exclusion, ...]

    @property
    def everywhere(self) -> list[Exclusion]:
        """The exclusions that need no rule of their own."""
        return [each for each in self.exclude if each.path is None]

    @property
    def below_paths(self) -> list[tuple[int, Exclusion]]:
        """The others, each with the number of its rule."""
        below = [each for each in self.exclude if each.path is not None]
        return list(enumerate(below, self.first_rule + 100))


def mode_of(config: Config, service: Service) -> Mode:
    """What the firewall does with requests for this service."""
    if service.is_grpc:
        return "off"
    return config.waf.mode if service.waf.mode is None else service.waf.mode


def wanted(config: Config) -> bool:
    """Whether the firewall has to be there at all."""
    modes = [mode_of(config, service) for service in config.services.values()]
    return any(mode != "off" for mode in (config.waf.mode, *modes))


def profiles(config: Config) -> tuple[Profile, dict[str, Profile]]:
    """The API's profile, and those of the services by name."""
    waf = config.waf
    return Profile("api", waf.mode, OUR_RULES, waf.max_members, waf.max_text, tuple(waf.exclude)), {
        name: Profile(
            f"service_{index}",
            mode_of(config, service),
            OUR_RULES + (index + 1) * _RULES_EACH,
            service.waf.max_members or waf.max_members,
            service.waf.max_text or waf.max_text,
            tuple(service.waf.exclude),
        )
        for index, (name, service) in enumerate(config.services.items())
    }


def firewall_for(config: Config, engine: Engine, source: str) -> Firewall | None:
    """What this engine has for the firewall; None where the configuration wants none.

    source: the configuration file's name, for messages.
    Raises EngineError if the engine cannot load ModSecurity, or there is no Core Rule Set.
    """
    if not wanted(config):
        return None
    where = f"{source}: waf"
    if "modsecurity" not in engine.modules:
        raise EngineError(_no_module(engine), where=where, hint=_HINT)
    folders = [Path(config.waf.rules)] if config.waf.rules else _folders(engine)
    folder = next((each for each in folders if (each / "rules" / _SETUP).is_file()), None)
    if folder is None:
        looked = ", ".join(map(str, folders))
        raise EngineError(
            f"the OWASP Core Rule Set is not here (looked for rules/{_SETUP} in {looked})",
            where=where,
            hint="Install the package modsecurity-crs, or say where it is with waf.rules.",
        )
    maps = [root / name for root in (_root(engine), Path("/")) for name in _UNICODE_MAPS]
    return Firewall(
        modules=engine.module_files.get("modsecurity", ()),
        folder=folder / "rules",
        rules=tuple(sorted(each.name for each in (folder / "rules").glob("REQUEST-9*.conf"))),
        unicode_map=next((each for each in maps if each.is_file()), None),
    )


_HINT = (
    "Install libnginx-mod-http-modsecurity and modsecurity-crs beside the system's nginx; or run\n"
    "  `infergate engine install --waf`, which needs no root, and write `engine: debian`;"
    " or `waf: off`."
)


def _no_module(engine: Engine) -> str:
    if engine.origin == "embedded":
        return "the embedded nginx cannot load ModSecurity, so there is no firewall on it"
    return f"ModSecurity is not installed for this nginx ({engine})"


def _root(engine: Engine) -> Path:
    """Below what the engine's packages are unpacked; / for one that is installed."""
    return engine.binary.parents[2] if engine.origin == "debian" else Path("/")


def _folders(engine: Engine) -> Sequence[Path]:
    unpacked = _root(engine) / "usr/share/modsecurity-crs"
    return (unpacked, *RULES_FOLDERS) if engine.origin == "debian" else RULES_FOLDERS
