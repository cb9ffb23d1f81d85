"""What is told of how a gateway is: its processes, its backends, its counting (status.py)."""

from __future__ import annotations

from pydantic import Field

from infergate.admin.backend_entry import BackendChange, BackendEntry, BackendGroup
from infergate.admin.operation import Document


class Processes(Document):
    """Process ids; null for what does not run."""

    supervisor: int | None
    nginx: int | None
    control: int | None


class RunningEngine(Document):
    """The nginx that runs (docs/engines.md)."""

    name: str = Field(description="Its origin, its versions and where it is.")
    fetched_at: float | None = Field(
        description="Unix seconds, when Infergate fetched it or last saw that none is newer;"
        " null for one that it did not fetch."
    )


class CountingStatus(Document):
    """How counting stands (ledger/status.py)."""

    at: float
    problem: str
    hint: str
    since: float
    behind_bytes: int
    unreadable: int
    killed_workers: int


class OldWorkers(Document):
    """What is left of earlier configurations (live/drain.py)."""

    workers: int
    streams: int
    oldest_s: float
    left_s: float


class KeysFileState(Document):
    """How `auth.keys_file` is read."""

    file: str
    keys: int = Field(description="Those of it that are valid now.")
    problem: str = Field(description="Why they are not what the file says; empty if they are.")


class Balanced(Document):
    """What `balance: work` goes by of one engine: what it says, the file says, or was learned."""

    kv_cache_tokens: float | None = Field(description="Of four bytes each; null: not known.")
    prefill_tokens_s: float | None = Field(description="Likewise; null: as fast as the others.")
    trust: float = Field(description="The part of what should be in its cache that is there.")


class BackendState(BackendEntry):
    """One backend, as requests find it."""

    name: str
    state: str = Field(description="up, slow, draining, down, hung or unknown.")
    reason: str
    since: float = Field(description="Unix seconds.")
    kind: str | None
    version: str | None
    models: list[str]
    models_problem: str | None
    latency_ms: float | None
    running: int | None
    waiting: int | None
    kv_cache_use: float | None
    generation_tokens: int | None
    prompt_tokens: int | None
    first_tokens: int | None = Field(description="That it measured since it started.")
    first_tokens_s: float | None = Field(description="How long they took to come, added up.")
    timed_tokens: int | None = Field(description="Further tokens that it measured.")
    timed_tokens_s: float | None = Field(description="How long these took, added up.")
    loaded: list[str] | None = Field(description="Its models in memory; null: it does not say.")
    in_flight: int = Field(description="Our requests there.")
    load: float = Field(description="What others have there.")
    balance: Balanced | None = Field(description="null: nothing is known of it.")
    drained: bool


class LoginState(Document):
    """Who is asked about the requests to a service (`forward`), as it was last seen."""

    url: str
    state: str = Field(description="up, down or unknown.")
    reason: str
    since: float = Field(description="Unix seconds.")


class ServiceState(LoginState):
    """One web service next to the models, as it was last seen."""

    name: str
    login: LoginState | None = Field(description="null where nobody is asked.")


class Certificate(Document):
    """One TLS server's certificate (certificates/report.py), as it was last looked at."""

    site: str
    hosts: list[str] = Field(description="Empty: any.")
    source: str = Field(description="acme, files or self-signed.")
    issuer: str
    sha256: str
    not_after: float | None = Field(description="Unix seconds.")
    renew_at: float | None = Field(description="Unix seconds.")
    next_try: float | None = Field(description="Unix seconds; after an attempt that failed.")
    stands_in: bool = Field(description="Self-signed, until the authority has issued one.")
    problem: str
    hint: str


class KeptAnswersStatus(Document):
    """How often a kept answer of a model was given again."""

    hits: int
    misses: int


class MemoryZone(Document):
    """One zone of nginx's shared memory (nginx/zones.py)."""

    zone: str
    bytes: int = Field(description="Its size.")
    used: float = Field(description="0 to 1, of its pages.")
    evicts: bool = Field(description="It gives up its oldest entries rather than be full.")


class EndpointFile(Document):
    """One file of `api.endpoints`."""

    file: str = Field(description="Empty: of the folder as a whole.")
    endpoints: list[str] = Field(description="Method and path; those it was to have, if disabled.")
    problem: str = Field(description="Why it is disabled; empty if it is not.")
    line: int = Field(description="Of the file, where that is; 0 where nobody knows.")


class TierPart(Document):
    """One process of the API tier (docs/api.md)."""

    name: str = Field(description="api, endpoints, batches or responses.")
    pid: int | None = Field(description="Null while it does not run.")
    restarts: int = Field(description="Since it was begun with the active settings.")
    since: float | None = Field(
        description="Unix seconds, since when it runs, or is down; null where it has not begun,"
        " because nobody has asked it yet."
    )
    ended: str = Field(
        description="How it last ended: a code of exit, negative for a signal; empty if it has not."
    )


class MissingModel(Document):
    """A model that the configuration expects at a backend that does not have it."""

    model: str
    backend: str


class FailingLoop(Document):
    """A part of the control plane that fails (loops.py). It is started again, later each time."""

    loop: str = Field(description="What it does.")
    problem: str
    since: float = Field(description="Unix seconds.")
    times: int = Field(description="How often it failed since then.")


class Status(Document):
    """How a gateway is."""

    running: bool = Field(description="Whether nginx runs.")
    url: str = Field(description="Where its clients reach it.")
    config: str
    home: str
    processes: Processes
    engine: RunningEngine | None = Field(description="Null where none runs.")
    revision: int | None
    file_applied: bool = Field(description="Whether the file is what is active.")
    drain: OldWorkers
    keys: int | None
    keys_file: KeysFileState | None = Field(description="Null where none is configured.")
    ledger: CountingStatus | None
    failing: list[FailingLoop]
    set_aside: list[str] = Field(
        description="State files that could not be understood, by the name they lie under now;"
        " they were made anew."
    )
    backends: list[BackendState]
    removed_backends: list[BackendChange]
    groups: dict[str, BackendGroup]
    services: list[ServiceState]
    certificates: list[Certificate]
    cache: dict[str, KeptAnswersStatus] = Field(description="By model.")
    uncopied: dict[str, dict[str, int]] = Field(
        description="By model: requests that its shadow got no copy of since nginx started; large: "
        "more than 256 KiB, upload: no JSON, late: too many waited to be copied."
    )
    memory: list[MemoryZone]
    tier: list[TierPart] = Field(description="Empty where the file has no `api`.")
    endpoints: list[EndpointFile]
    missing_models: list[MissingModel]
    conflicts: list[str]
