"""A YAML text as plain values, with the place of each: the part before anything is validated."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from infergate.config.problems import ConfigError, Problem

if TYPE_CHECKING:
    from ruamel.yaml.error import MarkedYAMLError

_LARGEST_BYTES = 1_000_000
_MOST_VALUES = 100_000
"""Aliases of aliases can stand for billions of values (the "billion laughs")."""

_OWN = "x-"
"""What settings of the top level begin with that are the writer's own: places for anchors."""

_REFERENCE = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)\}")

Path = tuple[str | int, ...]
Place = tuple[int, int]


@dataclass
class YamlDocument:
    """Values by path. places: of values; key_places: of the keys that name them.

    from_environment: paths of values that hold something of the environment: never shown.
    """

    file: str
    data: Any = None
    places: dict[Path, Place] = field(default_factory=dict)
    key_places: dict[Path, Place] = field(default_factory=dict)
    from_environment: set[Path] = field(default_factory=set)

    def problem(self, path: Path, message: str, *, at_key: bool = False) -> Problem:
        """A problem at the value of a path, or at its key; at the nearest section around it if
        the path itself is not in the file."""
        places = self.key_places if at_key else self.places
        for length in range(len(path), -1, -1):
            place = places.get(path[:length]) or self.places.get(path[:length])
            if place is not None:
                return Problem(self.file, *place, message)
        return Problem(self.file, 1, 1, message)


@dataclass(frozen=True)
class _Parsed:
    """A YAML text as it is, before the environment's values are put in."""

    values: dict[str, Any] = field(default_factory=dict)
    places: dict[Path, Place] = field(default_factory=dict)
    key_places: dict[Path, Place] = field(default_factory=dict)


def read_document(text: str, file: str, environ: Mapping[str, str]) -> YamlDocument:
    """The values of a YAML text, `${NAME}` replaced from environ.

    `$${` stays as a literal `${`. Raises ConfigError for what is no YAML mapping, and for names
    that the environment does not have, all of those at once.
    """
    return _filled(places_of(text, file), _parsed(text, file).values, environ)


def places_of(text: str, file: str) -> YamlDocument:
    """Only where everything stands in a YAML text. Raises ConfigError."""
    parsed = _parsed(text, file)
    return YamlDocument(file, places=parsed.places, key_places=parsed.key_places)


def values_of(text: str, file: str) -> dict[str, Any]:
    """The values of a YAML text before the environment's are put in: what `document_of` takes.

    To read them from JSON takes a hundredth of the time. Raises ConfigError.
    """
    return _parsed(text, file).values


def handed_on(text: str, file: str) -> str:
    """What was read of a YAML text, for another process's `take_over`. Raises ConfigError."""
    parsed = _parsed(text, file)
    return json.dumps(
        {
            "of": _digest(text, file),
            "values": parsed.values,
            "places": list(parsed.places.items()),
            "key_places": list(parsed.key_places.items()),
        }
    )


def take_over(said: Any) -> None:
    """Know what `handed_on` said, as JSON, of a text, until it is asked for. Raises ValueError,
    LookupError, TypeError or AttributeError if it is nothing of ours."""
    places, key_places = (
        {tuple(path): (int(line), int(column)) for path, (line, column) in said[which]}
        for which in ("places", "key_places")
    )
    _taken_over[str(said["of"])] = _Parsed(dict(said["values"]), places, key_places)


_taken_over: dict[str, _Parsed] = {}
"""By the digests of texts."""


def _digest(text: str, file: str) -> str:
    return hashlib.sha256(f"{file}\n{text}".encode("utf-8", "surrogatepass")).hexdigest()


def document_of(values: dict[str, Any], file: str, environ: Mapping[str, str]) -> YamlDocument:
    """As read_document, from the text's `values_of`: the places are not known."""
    return _filled(YamlDocument(file), values, environ)


def _filled(
    document: YamlDocument, values: dict[str, Any], environ: Mapping[str, str]
) -> YamlDocument:
    problems: list[Problem] = []
    document.data = _with_environment(values, (), document, environ, problems)
    if problems:
        raise ConfigError(problems)
    return document


@lru_cache(maxsize=2)
def _parsed(text: str, file: str) -> _Parsed:
    """Of the two latest texts it is kept: an apply looks at that of before and at that of now, and
    a file of 1,000 backends takes more than a second. Nobody changes what is returned."""
    if len(text) > _LARGEST_BYTES:
        raise ConfigError([Problem(file, 1, 1, "the file is larger than 1 MB")])
    if _taken_over:
        known = _taken_over.pop(_digest(text, file), None)
        _taken_over.clear()
        if known is not None:
            return known
    from ruamel.yaml import YAML  # loading it takes longer than what needs no YAML
    from ruamel.yaml.comments import CommentedMap
    from ruamel.yaml.constructor import DuplicateKeyError
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        tree = YAML(typ="rt", pure=True).load(text)
    except DuplicateKeyError:
        raise ConfigError(_duplicates(YAML(typ="rt", pure=True).compose(text), file)) from None
    except MarkedYAMLError as problem:
        raise ConfigError([_marked(problem, file, _syntax(problem, text))]) from None
    except (YAMLError, ValueError) as problem:
        raise ConfigError([Problem(file, 1, 1, f"this is not YAML: {problem}")]) from None
    if not isinstance(tree, CommentedMap):
        what = "the file is empty" if tree is None else "expected settings, as `name: value` lines"
        raise ConfigError(
            [
                Problem(
                    file,
                    1,
                    1,
                    what + "; the smallest is:\n  backends:\n    gpu1: http://127.0.0.1:11434",
                )
            ]
        )
    parsed = _Parsed(places={(): (1, 1)})
    parsed.values.update(_plain(tree, (), parsed, file))
    return parsed


def environment_names(text: str) -> tuple[str, ...]:
    """The names whose values a YAML text takes from the environment, each once."""
    return tuple(dict.fromkeys(each[1] for each in _REFERENCE.finditer(text) if each[1]))


def _marked(problem: MarkedYAMLError, file: str, message: str) -> Problem:
    mark = problem.problem_mark or problem.context_mark
    if mark is None:
        return Problem(file, 1, 1, message)
    return Problem(file, mark.line + 1, mark.column + 1, message)


def _duplicates(root: Any, file: str) -> Iterator[Problem]:
    """Every setting that is there twice, where it is for the second time and after."""
    from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode

    left, seen = [root], set[int]()
    while left:
        node = left.pop()
        if id(node) in seen:  # an alias
            continue
        seen.add(id(node))
        if isinstance(node, SequenceNode):
            left += node.value
        if not isinstance(node, MappingNode):
            continue
        first: dict[str, int] = {}
        for key, value in node.value:
            left += [key, value]
            if not isinstance(key, ScalarNode):
                continue
            line = key.start_mark.line + 1
            if key.value in first:
                said = f"{key.value!r} is set twice here (first in line {first[key.value]})"
                yield Problem(file, line, key.start_mark.column + 1, said)
            first.setdefault(key.value, line)


def _syntax(problem: MarkedYAMLError, document: str) -> str:
    text, mark = str(problem.problem), problem.problem_mark
    if "\\t" in text or "'\t'" in text:
        return "a tab cannot be used for indentation; use spaces"
    if mark is not None and document[mark.index - 1 : mark.index + 1] == "${":
        return 'between { } and [ ] a value with ${…} needs quotes: "${NAME}"'
    return f"this is not YAML: {text}" + (f" ({problem.context})" if problem.context else "")


def _no_name(key: bool | None) -> str:
    written = "null" if key is None else str(key).lower()
    return f'{written} is no name in YAML; if you mean a name, write it in quotes: "{written}"'


def _plain(node: Any, path: Path, parsed: _Parsed, file: str) -> Any:
    from ruamel.yaml.comments import CommentedMap, CommentedSeq

    if len(parsed.places) > _MOST_VALUES:
        raise ConfigError([Problem(file, 1, 1, "the file has more than 100,000 values")])
    if isinstance(node, CommentedMap):
        result = {}
        for key, value in node.items():
            name = str(key)
            below = (*path, name)
            if not path and name.startswith(_OWN):
                continue
            # What `<<` brings has no place of its own: it is at the section it was brought into.
            here = (*parsed.places[path], *parsed.places[path])
            unknown = tuple(each - 1 for each in here)
            line, column, value_line, value_column = node.lc.data.get(key, unknown)
            if key is None or isinstance(key, bool):
                raise ConfigError([Problem(file, line + 1, column + 1, _no_name(key))])
            parsed.key_places[below] = (line + 1, column + 1)
            parsed.places[below] = (value_line + 1, value_column + 1)
            result[name] = _plain(value, below, parsed, file)
        return result
    if isinstance(node, CommentedSeq):
        values = []
        for index, value in enumerate(node):
            below = (*path, index)
            line, column = node.lc.data.get(index, (0, 0))[:2]
            parsed.places[below] = (line + 1, column + 1)
            values.append(_plain(value, below, parsed, file))
        return values
    if node is None or isinstance(node, bool):
        return node
    # ruamel's own number types remember how they were written; ours need not.
    if isinstance(node, int):
        return int(node)
    if isinstance(node, float):
        return float(node)
    return str(node)


def _with_environment(
    node: Any,
    path: Path,
    document: YamlDocument,
    environ: Mapping[str, str],
    problems: list[Problem],
) -> Any:
    def below(name: str | int, value: Any) -> Any:
        return _with_environment(value, (*path, name), document, environ, problems)

    if isinstance(node, dict):
        return {name: below(name, value) for name, value in node.items()}
    if isinstance(node, list):
        return [below(index, value) for index, value in enumerate(node)]
    if not isinstance(node, str) or "${" not in node:
        return node

    def replaced(match: re.Match[str]) -> str:
        if match[0] == "$${":
            return "${"
        document.from_environment.add(path)
        if match[1] not in environ:
            problems.append(document.problem(path, f"the environment has no variable {match[1]}"))
            return ""
        return environ[match[1]]

    return _REFERENCE.sub(replaced, node)
