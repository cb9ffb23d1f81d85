"""What a shell offers behind a word that was begun: commands and options, and the names of keys,
teams, backends and models of the gateway that the line so far is for."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from infergate.cli.target import CommandTarget

_VARIABLE = "_INFERGATE_COMPLETE"
"""Set by the script of a shell when it asks us."""

_BASH = r"""
_infergate_completion() {
    local IFS=$'\n' line="${COMP_LINE:0:COMP_POINT}" word before=
    word="${line##*[[:space:]]}"
    # A colon, as in qwen3:8b, ends a word for bash: what is before it is not to be said again.
    [[ $COMP_WORDBREAKS == *:* ]] && before="${word%"${word##*:}"}"
    COMPREPLY=( $(env _INFERGATE_COMPLETE=complete_fish _TYPER_COMPLETE_FISH_ACTION=get-args \
        _TYPER_COMPLETE_ARGS="$line" "$1" 2> /dev/null | cut -f 1) )
    COMPREPLY=( "${COMPREPLY[@]#"$before"}" )
}
complete -o default -F _infergate_completion infergate
"""

_ZSH = """
#compdef infergate

_infergate_completion() {
    eval $(env _INFERGATE_COMPLETE=complete_zsh _TYPER_COMPLETE_ARGS="${words[1,$CURRENT]}" \\
        infergate 2> /dev/null)
}
if [ "$funcstack[1]" = "_infergate" ]; then  # a file of $fpath: it is run to complete
    _infergate_completion "$@"
else
    compdef _infergate_completion infergate
fi
"""
_FISH = """
complete --command infergate --no-files --arguments '(env _INFERGATE_COMPLETE=complete_fish \\
    _TYPER_COMPLETE_FISH_ACTION=get-args _TYPER_COMPLETE_ARGS=(commandline -cp) infergate)' \\
    --condition 'env _INFERGATE_COMPLETE=complete_fish _TYPER_COMPLETE_FISH_ACTION=is-args \\
    _TYPER_COMPLETE_ARGS=(commandline -cp) infergate'
"""
"""Both ask as typer answers them (typer's own scripts, of another program's name)."""


class Shell(StrEnum):
    """One that there is a script for."""

    bash = "bash"
    zsh = "zsh"
    fish = "fish"


_SCRIPTS = {Shell.bash: _BASH, Shell.zsh: _ZSH, Shell.fish: _FISH}


def register(app: typer.Typer) -> None:
    app.command()(completion)
    if _VARIABLE in os.environ:
        from typer.completion import get_completion_inspect_parameters

        get_completion_inspect_parameters()  # it teaches typer how each shell asks


def completion(
    shell: Annotated[Shell, typer.Argument(help="bash, zsh or fish.")],
) -> None:
    """Print the script with which a shell completes commands and names.

    \b
    bash: infergate completion bash > ~/.local/share/bash-completion/completions/infergate
    zsh:  infergate completion zsh > a file _infergate in a folder of $fpath
    fish: infergate completion fish > ~/.config/fish/completions/infergate.fish
    """
    print(_SCRIPTS[shell].strip())


def _completed(
    names: Callable[[CommandTarget], Iterator[str]],
) -> Callable[[typer.Context, str], list[str]]:
    """As typer wants it. What cannot be asked has no names: a shell shows no errors."""

    def complete(context: typer.Context, incomplete: str) -> list[str]:
        from infergate.cli.options import elsewhere
        from infergate.cli.target import target
        from infergate.errors import InfergateError

        root = context.find_root().params
        config = context.params.get("config")
        try:
            elsewhere(
                root.get("url"), root.get("token_file"), root.get("token"), root.get("ca_file")
            )
            asked = target(Path(config) if config else None, broken=True)
            return sorted({each for each in names(asked) if each.startswith(incomplete)})
        except (InfergateError, OSError):
            return []

    return complete


def _keys(asked: CommandTarget) -> Iterator[str]:
    from infergate.admin.keys import list_keys

    for page in asked.pages(list_keys):
        yield from (each.name for each in page.items)


def _teams(asked: CommandTarget) -> Iterator[str]:
    from infergate.admin.teams import list_teams

    for page in asked.pages(list_teams):
        yield from (each.name for each in page.items)


def _backends(asked: CommandTarget) -> Iterator[str]:
    from infergate.admin.backends import list_backends

    for page in asked.pages(list_backends):
        yield from (each.name for each in page.items)


def _models(asked: CommandTarget) -> Iterator[str]:
    from infergate.admin.models import list_models

    for page in asked.pages(list_models):
        yield from (each.name for each in page.items)


keys, teams, backends, models = map(_completed, (_keys, _teams, _backends, _models))

OfKey = Annotated[str | None, typer.Option(help="Only this key's.", autocompletion=keys)]
OfTeam = Annotated[str | None, typer.Option(help="Only this team's.", autocompletion=teams)]
OfModel = Annotated[str | None, typer.Option(help="Only this model's.", autocompletion=models)]
OfBackend = Annotated[
    str | None, typer.Option(help="Only this backend's.", autocompletion=backends)
]
