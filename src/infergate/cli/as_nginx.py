"""`nginx -s reload`, `-t` and `-s quit`, typed where Infergate runs nginx: in our container.

`-s reload` returns when the edit is active, and like nginx it fails and leaves all as it was when
a file is not understood: the configuration, `auth.keys_file`, and files of `discover`.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType

from infergate.cli.options import load
from infergate.config.load import LoadedConfig
from infergate.errors import InfergateError, StateError
from infergate.paths import Home

_REAL = "/usr/sbin/nginx"
_TELLS = frozenset(("-v", "-V", "-h", "-?"))
_HELP = "This nginx is run by Infergate, which knows -s reload, -s quit, -s stop, -t and -v here."


def main(arguments: Sequence[str]) -> int:
    """Do what nginx would do with these arguments, and return its exit code."""
    words = tuple(word for word in arguments if word != "-q")
    if len(words) == 1 and words[0] in _TELLS:
        os.execv(_REAL, ["nginx", *words])  # noqa: S606 - Debian's own, nothing of ours is asked
    does = _DOES.get(words)
    if does is None:
        print(f"nginx: {_HELP}", file=sys.stderr)
        return 2
    try:
        does()
    except InfergateError as problem:
        print(f"nginx: [emerg] {problem}", file=sys.stderr)
        return 1
    return 0


def _test() -> None:
    loaded, home = _checked()
    print(f"nginx: the configuration file {loaded.path} test is successful ({home.root})")


def _reload() -> None:
    from infergate.admin.changes import Apply, apply_file
    from infergate.admin.gateway import Gateway
    from infergate.control.groups import look_once

    loaded, home = _checked()
    asyncio.run(look_once(loaded, home))  # the control plane would in half a second
    apply_file(Gateway(loaded, home), Apply(window_s=None))


def _quit() -> None:
    _stop(now=False)


def _stop_now() -> None:
    _stop(now=True)


def _stop(*, now: bool) -> None:
    from infergate.supervise.stop import stop_gateway

    stop_gateway(load(None, quiet=True)[1], now=now)


def _checked() -> tuple[LoadedConfig, Home]:
    """The configuration. Raises StateError with everything that its lists have wrong."""
    loaded, home = load(None, as_written=True)
    wrong = "\n  ".join(_wrong(loaded, home))
    if wrong:
        raise StateError(wrong, hint="Nothing was changed.")
    return loaded, home


def _wrong(loaded: LoadedConfig, home: Home) -> Iterator[str]:
    from infergate.health.group_file import read_group
    from infergate.health.group_names import GroupUnknown
    from infergate.state.in_force import groups_of
    from infergate.state.keys_file import read_keys_file

    if problem := read_keys_file(loaded, home).problem:
        yield problem
    for name, discover in groups_of(loaded).items():
        if discover.file is not None:
            try:
                read_group(name, loaded.resolve(discover.file))
            except GroupUnknown as problem:
                yield str(problem)


_DOES: Mapping[tuple[str, ...], Callable[[], None]] = MappingProxyType(
    {
        ("-t",): _test,
        ("-s", "reload"): _reload,
        ("-s", "quit"): _quit,
        ("-s", "stop"): _stop_now,
    }
)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
