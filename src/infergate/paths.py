"""Where a gateway keeps its files, in its state folder."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Home:
    """The state folder. Everything below it belongs to one gateway; nobody else may read it.

    sites-enabled/ nginx files written by hand, taken into each revision
    revisions/N/   rendered nginx configurations, each with the YAML it came from; `current` links
                   to the active one
    state/         store.db, the snapshots nginx loads when it starts, the bans it includes
    run/           pid files, sockets, nginx's temporary files
    logs/          access.log (JSON), error.log, gateway.log, waf.log
    files/         of clients, for batches
    cache/         answers that nginx keeps to give them again
    tls/           certificates made or fetched here, and their keys
    public/        what anybody may fetch: answers to ACME challenges, the CA of tls/
    engines/       nginx builds that `infergate engine install` brought
    """

    root: Path

    @property
    def revisions(self) -> Path:
        return self.root / "revisions"

    @property
    def current(self) -> Path:
        return self.root / "current"

    @property
    def state(self) -> Path:
        return self.root / "state"

    @property
    def store(self) -> Path:
        """Keys, usage and audit log, where `store:` names no PostgreSQL."""
        return self.state / "store.db"

    @property
    def store_note(self) -> Path:
        """How far the database was when it was last used (store/lost.py)."""
        return self.state / "store.json"

    @property
    def passwords_folder(self) -> Path:
        """Hashed passwords of services; nginx's workers read them, and nobody else."""
        return self.state / "passwords"

    def passwords(self, service: str, mark: str) -> Path:
        """mark: of their content, so that one that changes is another file."""
        return self.passwords_folder / f"{service}.{mark}"

    @property
    def sites_enabled(self) -> Path:
        """nginx files that an operator wrote, or links to them; taken into each revision."""
        return self.root / "sites-enabled"

    @property
    def keys_snapshot(self) -> Path:
        return self.state / "keys.json"

    @property
    def keys_file(self) -> Path:
        """What `auth.keys_file` said when it was last understood, as hashes."""
        return self.state / "keys_file.json"

    @property
    def routes_snapshot(self) -> Path:
        return self.state / "routes.json"

    @property
    def conditions_snapshot(self) -> Path:
        return self.state / "conditions.json"

    @property
    def changes(self) -> Path:
        """What operators changed of the backends, from the database (state/in_force.py)."""
        return self.state / "changes.json"

    @property
    def discovered(self) -> Path:
        """The backends that DNS and files name, for each group."""
        return self.state / "discovered.json"

    @property
    def snapshots(self) -> tuple[Path, ...]:
        """What nginx loads by itself when its shared memory is empty."""
        return (self.keys_snapshot, self.routes_snapshot, self.conditions_snapshot)

    @property
    def health(self) -> Path:
        """What the control plane last knew of each backend, for `infergate status`."""
        return self.state / "health.json"

    @property
    def first_key(self) -> Path:
        """The secret of the first key, until `infergate keys first` has shown it, where `up` could
        not without leaving it in a log."""
        return self.state / "first-key"

    @property
    def asked(self) -> Path:
        """What an apply heard from new backends, until the control plane takes it over."""
        return self.state / "asked.json"

    @property
    def services(self) -> Path:
        """The same of the web services next to the models."""
        return self.state / "services.json"

    @property
    def ledger(self) -> Path:
        """How counting stands (ledger/status.py)."""
        return self.run / "ledger.json"

    @property
    def budgets(self) -> Path:
        """How far budgets are used (control/budget_shares.py)."""
        return self.run / "budgets.json"

    @property
    def loops(self) -> Path:
        """Which loops of the control plane fail (loops.py)."""
        return self.run / "loops.json"

    @property
    def tier_processes(self) -> Path:
        """How the API tier's processes are (supervise/tier_processes.py)."""
        return self.run / "tier.json"

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def socket(self) -> Path:
        """nginx's internal unix socket, in a folder only the gateway's user can enter.

        A unix socket's path is at most 107 bytes (unix(7)), so below a deep state folder it moves;
        and below one with a colon, because in the URL of a request to a socket it ends the path.
        """
        return self._socket("control")

    @property
    def queue_socket(self) -> Path:
        """Where nginx's workers wait for a turn, in a folder that only their group can enter."""
        return self._socket("queue")

    @property
    def attempts_socket(self) -> Path:
        """Where they have attempts looked after that may be late; in the same folder."""
        return self.queue_socket.with_name("attempts.sock")

    @property
    def admin_socket(self) -> Path:
        """Where the admin API listens for users of this machine who may enter the folder."""
        return self._socket("admin").with_name("admin.sock")

    @property
    def metrics_socket(self) -> Path:
        """Where nginx's workers ask the admin API's process for /metrics, and for nothing else; in
        the folder that their group can enter."""
        return self.queue_socket.with_name("metrics.sock")

    @property
    def tier_socket(self) -> Path:
        """Where nginx hands requests to the API tier; in the same folder."""
        return self.queue_socket.with_name("tier.sock")

    @property
    def endpoints_socket(self) -> Path:
        """Where it does so with those for endpoints of the operator's own."""
        return self.queue_socket.with_name("endpoints.sock")

    def keeper_socket(self, name: str) -> Path:
        """Where it asks what keeps batches, or responses (supervise/keepers.py)."""
        return self.queue_socket.with_name(f"{name}.sock")

    @property
    def files(self) -> Path:
        """What clients gave for batches, and what these wrote; nobody else may enter."""
        return self.root / "files"

    @property
    def inner_socket(self) -> Path:
        """Where nginx takes what the API tier asks of models in the name of a caller."""
        return self.queue_socket.with_name("inner.sock")

    def remove_sockets(self) -> None:
        """A master that was killed leaves its sockets, and the next one cannot bind them."""
        for path in (self.socket, self.queue_socket, self.attempts_socket, self.inner_socket):
            path.unlink(missing_ok=True)

    def _socket(self, folder: str) -> Path:
        path = self.run / folder / "nginx.sock"
        if len(os.fsencode(path)) <= 100 and ":" not in str(path):
            return path
        digest = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:12]
        below = Path(tempfile.gettempdir()) / f"infergate-{os.getuid()}-{digest}-{folder}"
        return below / "nginx.sock"

    @property
    def followed(self) -> Path:
        """Which state of the configuration file `up --watch` took last (supervise/followed.py)."""
        return self.run / "followed.json"

    @property
    def read_already(self) -> Path:
        """What `up` read of a large configuration (supervise/handed_on.py)."""
        return self.run / "read-already.json"

    @property
    def ready(self) -> Path:
        """Holds the supervisor's process id from the moment the gateway answers."""
        return self.run / "ready"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def access_log(self) -> Path:
        return self.logs / "access.log"

    def own_log(self, format_: str) -> Path:
        """The access log in another format (config/log.py)."""
        return self.logs / f"{format_}.log"

    def handed_on(self, to: str) -> Path:
        """How far the access log was handed on to others, each of whom has a name."""
        return self.state / f"handed-on-{to}.json"

    @property
    def error_log(self) -> Path:
        """What nginx itself complains of."""
        return self.logs / "error.log"

    @property
    def waf_reports(self) -> Path:
        """Where nginx's workers leave what the firewall found; nobody else may enter."""
        return self.run / "waf"

    @property
    def waf_log(self) -> Path:
        """The same without values, for people."""
        return self.logs / "waf.log"

    @property
    def bans(self) -> Path:
        """nginx includes this to drop banned networks."""
        return self.state / "bans"

    @property
    def cache(self) -> Path:
        """The folders in it are made by nginx, and its workers'."""
        return self.root / "cache"

    @property
    def tls(self) -> Path:
        return self.root / "tls"

    def local_certificate(self, hosts: Iterable[str]) -> Path:
        """The certificate made here for these hosts, its CA's and its key, in one file. Other hosts
        have another file: what a configuration needs that is only looked at is not served."""
        digest = hashlib.sha256("\n".join(hosts).encode()).hexdigest()
        return self.tls / f"self-signed-{digest[:8]}.pem"

    @property
    def ca_key(self) -> Path:
        return self.tls / "ca.key"

    @property
    def acme(self) -> Path:
        """Certificates that ACME authorities issued, and the accounts there."""
        return self.tls / "acme"

    @property
    def certificates(self) -> Path:
        """What `infergate status` says of the certificates."""
        return self.run / "certificates.json"

    @property
    def public(self) -> Path:
        return self.root / "public"

    @property
    def ca(self) -> Path:
        """The CA of the certificates made here, for clients to download."""
        return self.public / "ca.crt"

    @property
    def challenges(self) -> Path:
        """Where nginx finds the answers to an authority's http-01 challenges."""
        return self.public / "acme-challenge"
