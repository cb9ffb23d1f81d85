"""Every operation that HTTP has, by the noun it is about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infergate.admin.audit import list_audit
from infergate.admin.backends import (
    add_backend,
    drain_backend,
    in_flight,
    list_backends,
    remove_backend,
    reset_backend,
    undrain_backend,
    weigh_backend,
)
from infergate.admin.bans import add_ban, list_bans, remove_ban
from infergate.admin.batches import cancel_batch, list_batches, show_batch
from infergate.admin.cache import purge_cache, show_cache
from infergate.admin.certificates import issue_certificates, list_certificates, show_ca
from infergate.admin.changes import apply_file, list_history, roll_back, show_diff, show_plan
from infergate.admin.clients import list_clients
from infergate.admin.configuration import (
    check_configuration,
    configuration_schema,
    read_configuration,
    write_configuration,
)
from infergate.admin.firewall import firewall
from infergate.admin.hardening import harden
from infergate.admin.keys import (
    create_key,
    export_keys,
    import_keys,
    list_keys,
    revoke_key,
    rotate_key,
    set_key,
    show_key,
)
from infergate.admin.live import live
from infergate.admin.metrics import metrics
from infergate.admin.models import list_models
from infergate.admin.old_names import old_names
from infergate.admin.operation import Operation
from infergate.admin.past import first_bytes
from infergate.admin.policies import change_policy, list_policies, remove_policy, set_policy
from infergate.admin.readiness import readiness
from infergate.admin.requests import explain, list_requests
from infergate.admin.status import status
from infergate.admin.teams import create_team, list_teams, remove_team, set_team
from infergate.admin.tokens import create_token, list_tokens, revoke_token, whoami
from infergate.admin.usage import usage

OPERATIONS: Mapping[str, tuple[Operation[Any, Any], ...]] = {
    "status": (status, live),
    "readiness": (readiness,),
    "keys": (
        list_keys,
        create_key,
        show_key,
        set_key,
        rotate_key,
        revoke_key,
        import_keys,
        export_keys,
    ),
    "teams": (list_teams, create_team, set_team, remove_team),
    "policies": (list_policies, set_policy, change_policy, remove_policy),
    "usage": (usage, first_bytes, old_names),
    "metrics": (metrics,),
    "backends": (
        list_backends,
        add_backend,
        remove_backend,
        drain_backend,
        undrain_backend,
        weigh_backend,
        reset_backend,
        in_flight,
    ),
    "changes": (show_plan, show_diff, apply_file, roll_back, list_history),
    "configuration": (
        configuration_schema,
        read_configuration,
        check_configuration,
        write_configuration,
    ),
    "models": (list_models,),
    "clients": (list_clients,),
    "requests": (list_requests, explain),
    "audit": (list_audit,),
    "hardening": (harden,),
    "firewall": (firewall,),
    "bans": (list_bans, add_ban, remove_ban),
    "batches": (list_batches, show_batch, cancel_batch),
    "cache": (show_cache, purge_cache),
    "certificates": (list_certificates, show_ca, issue_certificates),
    "tokens": (list_tokens, whoami, create_token, revoke_token),
}
