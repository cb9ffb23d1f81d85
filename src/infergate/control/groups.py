"""Keeps known which backends the groups of the configuration have (`discover:`)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from pathlib import Path

from infergate.config.backends import Discover, FoundBackend
from infergate.config.load import LoadedConfig
from infergate.errors import StateError
from infergate.files import stamp
from infergate.health.group_names import GroupUnknown
from infergate.log import log
from infergate.paths import Home
from infergate.state.in_force import Group, groups_of, note_groups, read_groups

LOOK_INTERVAL_S = 0.5
"""Between two looks at the files, and at what is due."""

SHORTEST_S = 1.0
"""Between two look-ups of a name, whatever its TTL says."""

AGAIN_AFTER_S = 5.0
"""A look-up that failed is tried again after this."""


class Groups:
    """Looks the groups up as long as `run` runs.

    changed: awaited after what is known of them was written down. If it fails, it is called again.
    """

    def __init__(
        self,
        home: Home,
        declared: Callable[[], LoadedConfig],
        changed: Callable[[], Awaitable[bool]],
    ) -> None:
        self._home, self._declared, self._changed = home, declared, changed
        self._known = read_groups(home)
        self._asked: dict[str, Discover] = {}
        self._due: dict[str, float] = {}
        self._files: dict[str, tuple[Path, ...]] = {}
        self._stamps: dict[str, tuple[object, ...]] = {}
        self._to_tell = False

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            if await self.look() or self._to_tell:
                self._to_tell = not await self._changed()
            await asyncio.sleep(LOOK_INTERVAL_S)

    async def look(self) -> bool:
        """Look up what is due, and write down what is new. Whether anything was."""
        loaded = self._declared()
        groups = groups_of(loaded)
        due = [name for name, how in groups.items() if self._is_due(name, how, loaded)]
        known = {name: self._known.get(name, Group()) for name in groups}
        # A name server that hangs holds up the others for one round, of five seconds.
        known |= await self.found(due)
        if known == self._known and (self._home.discovered.exists() or not known):
            return False
        for name, group in known.items():
            self._tell(name, self._known.get(name, Group()), group)
        try:
            note_groups(self._home, known)
        except StateError as problem:
            log.error("what was discovered cannot be written down", problem=str(problem))
            return False
        self._known = known
        return True

    async def found(self, names: Collection[str]) -> dict[str, Group]:
        """What these are now. Nothing is written down."""
        loaded = self._declared()
        groups = groups_of(loaded)
        looked_up = await asyncio.gather(*(self._look_up(n, groups[n], loaded) for n in names))
        return dict(zip(names, looked_up, strict=True))

    def _is_due(self, name: str, discover: Discover, loaded: LoadedConfig) -> bool:
        if self._asked.get(name) != discover:
            self._asked[name] = discover
            return True
        if discover.file is not None:
            files = self._files.get(name, (loaded.resolve(discover.file),))
            return self._stamps.get(name) != tuple(map(stamp, files))
        return time.monotonic() >= self._due[name]

    async def _look_up(self, name: str, discover: Discover, loaded: LoadedConfig) -> Group:
        try:
            return Group(await self._found(name, discover, loaded))
        except GroupUnknown as problem:
            self._due[name] = time.monotonic() + min(AGAIN_AFTER_S, discover.interval)
            return Group(self._known.get(name, Group()).backends, str(problem))

    async def _found(
        self, name: str, discover: Discover, loaded: LoadedConfig
    ) -> tuple[FoundBackend, ...]:
        if discover.file is not None:
            return await self._listed(name, loaded.resolve(discover.file))
        from infergate.health.group_dns import look_up  # dnspython, where it is needed

        answer = await look_up(name, discover)
        wait_s = max(SHORTEST_S, min(discover.interval, answer.ttl_s))
        self._due[name] = time.monotonic() + wait_s
        return answer.backends

    async def _listed(self, name: str, path: Path) -> tuple[FoundBackend, ...]:
        from infergate.health.group_file import read_group

        before = {file: stamp(file) for file in (path, *self._files.get(name, ()))}
        try:
            listed = await asyncio.to_thread(read_group, name, path)
        except GroupUnknown as problem:
            self._follow(name, problem.files or (path,), before)
            raise
        self._follow(name, listed.files, before)
        return listed.backends

    def _follow(self, name: str, files: tuple[Path, ...], before: Mapping[Path, object]) -> None:
        """Look the group up again when one of these is no longer as it was before it was read."""
        self._files[name] = files
        self._stamps[name] = tuple(
            before[file] if file in before else stamp(file) for file in files
        )

    def _tell(self, name: str, before: Group, after: Group) -> None:
        names, gone = ({each.name for each in group.backends} for group in (after, before))
        if names != gone:
            log.info(
                "backends of a group",
                group=name,
                new=sorted(names - gone),
                gone=sorted(gone - names),
            )
        if after.problem is not None and after.problem != before.problem:
            log.warning("a group cannot be looked up", group=name, problem=after.problem)


def look_up_new(declared: LoadedConfig, home: Home) -> None:
    """Look up the groups that nobody has looked up yet, as those of a file that is to come into
    force: its backends are known before they get requests. What is known of others stays."""
    known = read_groups(home)
    new = {name for name in groups_of(declared) if name not in known}
    if new:
        found = asyncio.run(Groups(home, lambda: declared, _nobody).found(new))
        note_groups(home, {**known, **found})


def listed(declared: LoadedConfig, home: Home) -> dict[str, Group]:
    """What the groups are now that are in files. Nothing is written down, and nobody is asked."""
    files = {name for name, how in groups_of(declared).items() if how.file is not None}
    return asyncio.run(Groups(home, lambda: declared, _nobody).found(files))


async def _nobody() -> bool:
    return True


async def look_once(declared: LoadedConfig, home: Home) -> None:
    """Look every group up, before the gateway starts; one that cannot be stays as it was."""
    if groups_of(declared):
        await Groups(home, lambda: declared, _nobody).look()
