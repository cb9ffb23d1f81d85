"""Activates a configuration so that it cannot break what works.

render → lint → `nginx -t` → a real start alongside the gateway → switch → reload → watch → back, by
itself, if it is worse than what was before.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from infergate.changes.applied import Applied
from infergate.changes.plan import Plan, plan
from infergate.changes.reach import as_reported, empty_groups, look, served, unserved
from infergate.changes.trial import trial
from infergate.changes.watch import Watch
from infergate.changes.window import Answers
from infergate.config.load import LoadedConfig
from infergate.control.follow import follow
from infergate.control.groups import look_up_new
from infergate.control.report import note_asked, read_inventories, read_report
from infergate.control.settle import publish_all, settle
from infergate.engine.choose import Engine, choose_engine
from infergate.errors import ApplyError, InfergateError, MemoryFull, NotRunning, StateError
from infergate.files import locked
from infergate.health.inventory import Inventory
from infergate.live.apply import (
    apply_lock,
    change_lock,
    go_live,
    kept,
    look_up,
    stage,
)
from infergate.live.drain import drain
from infergate.live.reload import put_in_force
from infergate.live.revisions import (
    Revision,
    current,
    forget,
    forget_old,
    load_revision,
    mark_failed,
    switch,
)
from infergate.live.unfinished import Unfinished, begin, finish
from infergate.nginx.addresses import Addresses
from infergate.nginx.hand_written import by_hand, copies_in
from infergate.operate.backend_list import in_words
from infergate.operate.backends import GatewayParts, end_lapsed
from infergate.paths import Home
from infergate.state.in_force import bring_into_force, note_changes
from infergate.store.database import database_for
from infergate.store.revisions import note_revision
from infergate.supervise.instance import running
from infergate.supervise.ports import check_ports
from infergate.supervise.tier_taken import tier_has_taken

WINDOW_S = 10.0
"""How long a change is watched, unless somebody says otherwise."""


Said = Callable[[str], None]
"""Is told the name of each step when it begins."""


def apply(
    loaded: LoadedConfig,
    home: Home,
    *,
    window_s: float | None = WINDOW_S,
    of: int | None = None,
    said: Said | None = None,
) -> Applied:
    """Activate a configuration in the gateway that runs; no stream is cut.

    loaded: as the file has it; what discovery found and operators changed is added.
    window_s: how long it is watched. None: backends are not asked before, nor anything watched
        after; for a change that must take effect whatever they say.
    of: the earlier revision that it brings back. said: for who wants to tell how far it is.
    Waits while another change is being applied. Blocks; not to be called from an event loop.
    Raises UserError, EngineError or LintError for one that cannot take effect, and ApplyError
    for one that did not prove itself: the one before is active then, still or again.
    """
    with locked(change_lock(home)):
        settle(home, loaded.path)
        return _Change(loaded, home, window_s, of, said).apply()


class _Change:
    def __init__(
        self,
        loaded: LoadedConfig,
        home: Home,
        window_s: float | None,
        of: int | None,
        said: Said | None,
    ) -> None:
        self._declared, self._home, self._window_s, self._of = loaded, home, window_s, of
        self._said, self._took_s = said, dict[str, float]()
        _must_run(home)
        self._engine: Engine = choose_engine(loaded.config.engine, home.root).engine
        self._database = database_for(loaded.config, home)
        note_changes(home, self._database)  # one that is away must not be found out half-way
        look_up_new(loaded, home)
        self._loaded = bring_into_force(loaded, home)
        self._warnings: tuple[str, ...] = ()
        self._asked: dict[str, Inventory] = {}

    def apply(self) -> Applied:
        with self._step("compare"):
            addresses = look_up(self._loaded, self._home)
            planned = plan(self._declared, self._home, self._engine, addresses)
        previous = current(self._home)
        if planned.kind == "nothing" and previous is not None:
            return self._applied(previous, planned, 0, None)
        before = self._before(previous) if previous else None
        if before is not None and self._window_s is not None:
            with self._step("ask new backends"):
                self._refuse_unserved(before)
        watch = Watch(self._home, before.config) if before and self._window_s else None
        with locked(apply_lock(self._home)):
            revision = self._bring_in(planned, before, addresses)
        try:
            with self._step("publish"):
                note_asked(self._home.asked, self._asked)
                keys = self._publish(
                    self._loaded, lambda: follow(self._declared, self._home, self._database)
                )
                self._note(revision.number)
        except MemoryFull:
            with suppress(StateError):
                finish(self._home)  # what had room is active
            raise
        except StateError as problem:
            if previous is None or before is None:
                raise
            raise ApplyError(
                f"{problem.what}; {self._back(revision, previous, before, planned, problem.what)}",
                where=problem.where,
                hint=problem.hint,
            ) from problem
        with suppress(StateError):  # all is done: to settle it once more does no harm
            finish(self._home)
        if previous is not None and not tier_has_taken(self._home, previous.path):
            self._warnings += ("the API tier has not taken it over yet: see `infergate status`",)
        if watch is not None and previous is not None and before is not None:
            self._prove(watch, revision, previous, before, planned)
        self._end_lapsed()
        return self._applied(revision, planned, keys, watch)

    def _before(self, previous: Revision) -> LoadedConfig:
        """A revision as it holds now."""
        return bring_into_force(load_revision(previous, self._declared.path), self._home)

    def _end_lapsed(self) -> None:
        """Changes by hand that the file has overtaken count no more already; forget them."""
        name = self._declared.path.name
        ended = end_lapsed(GatewayParts(self._declared, self._home, self._database))
        self._warnings += tuple(
            f"Not any more: {in_words(change)} by hand; {name} says something new"
            for change in ended
        )

    @contextmanager
    def _step(self, name: str) -> Iterator[None]:
        if self._said is not None:
            self._said(name)
        began = time.monotonic()
        yield
        self._took_s[name] = time.monotonic() - began

    def _applied(
        self, revision: Revision, planned: Plan, keys: int, watch: Watch | None
    ) -> Applied:
        return Applied(
            revision.number,
            planned,
            keys,
            self._took_s,
            self._warnings,
            watch.before if watch else Answers(),
            watch.after if watch else Answers(),
            drain(self._home),
        )

    def _note(self, number: int) -> None:
        back = self._of is not None
        why = f"back to revision {self._of}" if back else None
        note_revision(self._database, number, self._loaded, why=why, back=back)

    def _refuse_unserved(self, before: LoadedConfig) -> None:
        report, inventories = read_report(self._home.health), read_inventories(self._home.health)
        was = served(before.config, report, inventories)
        known = look(before.config, self._loaded.config, as_reported(report, inventories))
        for lost in unserved(was, self._loaded.config, known):
            why = "".join(f"; {each}" for each in empty_groups(self._declared.config, self._home))
            raise ApplyError(
                f"{lost}{why}; nothing has changed",
                where=str(self._loaded.path),
                hint="`infergate reload` activates it all the same.",
            )
        self._asked = {
            name: each for name, each in known.inventories.items() if each != inventories.get(name)
        }

    def _bring_in(
        self, planned: Plan, before: LoadedConfig | None, addresses: Addresses
    ) -> Revision:
        loaded, home = self._loaded, self._home
        if planned.kind == "state":
            with self._step("keep"):
                revision = kept(loaded, home, self._engine, addresses, of=self._of)
                with self._forgotten(revision):
                    previous = current(home)
                    goal = revision if previous is None else previous
                    begin(home, Unfinished(goal.number, reload=False))
                    switch(home, revision)  # for the next start; nginx goes on as it is
                with suppress(StateError):  # then whoever has to settle it goes back
                    begin(home, Unfinished(revision.number, reload=False))
                forget_old(home)
            return revision
        if before is not None:
            previous = current(home)
            check_ports(
                loaded.config,
                by_hand(home),
                besides=before.config,
                written_besides=copies_in(previous.path) if previous else (),
            )
        with self._step("render, lint and nginx -t"):
            revision = stage(loaded, home, self._engine, addresses, of=self._of)
        with self._step("start alongside"), self._forgotten(revision):
            self._warnings = trial(loaded, home, self._engine, addresses)
        with self._step("reload"):
            go_live(home, revision)
        return revision

    @contextmanager
    def _forgotten(self, revision: Revision) -> Iterator[None]:
        """What fails within leaves nothing of a revision that never was active."""
        try:
            yield
        except (InfergateError, OSError):
            forget(revision)
            raise

    def _publish(self, loaded: LoadedConfig, again: Callable[[], LoadedConfig]) -> int:
        """Bring shared memory and the control plane to this configuration, or to what took its
        place meanwhile (publish_newest)."""
        database = database_for(loaded.config, self._home)
        count = publish_all(self._home, loaded, database, again, self._asked)
        control = running(self._home).control
        if control is not None:
            with suppress(ProcessLookupError):  # it died, and reads the new one when it is back
                os.kill(control, signal.SIGHUP)
        return count

    def _prove(
        self,
        watch: Watch,
        revision: Revision,
        previous: Revision,
        before: LoadedConfig,
        planned: Plan,
    ) -> None:
        watch.start()
        with self._step("watch"):
            problem = watch.until(self._loaded.config, self._window_s or 0.0)
        if problem is None:
            return
        back = self._back(revision, previous, before, planned, problem)
        raise ApplyError(
            f"{problem}\n{back[0].upper()}{back[1:]}.",
            where=str(self._loaded.path),
            hint=f"`infergate diff {previous.number} {revision.number}` shows what was changed; "
            f"{self._loaded.path.name} is as you left it.",
        )

    def _back(
        self,
        revision: Revision,
        previous: Revision,
        before: LoadedConfig,
        planned: Plan,
        problem: str,
    ) -> str:
        """Take it back; says what is active then."""
        try:
            self._take_back(revision, previous, before, planned, problem)
        except StateError:
            return (
                f"revision {revision.number} was begun and could not be taken back: it is settled, "
                "by itself, when the disk can be written"
            )
        return f"revision {previous.number} is active again"

    def _take_back(
        self,
        revision: Revision,
        previous: Revision,
        before: LoadedConfig,
        planned: Plan,
        problem: str,
    ) -> None:
        home, reload = self._home, planned.kind != "state"
        with self._step("take back"), locked(apply_lock(home)):
            begin(home, Unfinished(previous.number, reload=reload))
            with suppress(StateError):  # the disk may be full: that is no reason to stop here
                mark_failed(revision, problem)
            put_in_force(home, previous, reload=reload)
            with suppress(StateError):  # nginx has them; the control plane tries again
                self._publish(before, lambda: self._before(previous))
                why = f"revision {revision.number} was rolled back: {problem}"
                note_revision(self._database, previous.number, before, why=why, back=True)
            finish(home)


def _must_run(home: Home) -> None:
    if running(home).nginx is None:
        raise NotRunning(
            "the gateway is not running", where=str(home.root), hint="`infergate up` starts it."
        )
