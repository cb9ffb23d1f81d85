"""Which commands of the pages a test can run, and why not the others."""

from __future__ import annotations

PAGES = ["keys", "usage", "backends", "cache", "routing", "services", "bans", "admin-api"]
PAGES += ["validate", "monitoring", "terminal", "changes", "security"]
"""In the order in which one leaves what the next one needs; README comes first."""

ELSEWHERE = {
    "CONTRIBUTING.md": "they are the tests and benchmarks themselves",
    "backup.md": "tests/engine/test_backup.py runs it, between two gateways",
    "batches.md": "tests/engine/test_api_batches.py types it, from above to below",
    "benchmarks.md": "they take minutes and valgrind; bench/ has what came of them",
    "peers.md": "it needs a checkout of an engine; tests/unit/test_peers.py",
    "import.md": "tests/engine/test_import.py runs it as printed",
    "install-deb.md": "tests/deploy/test_deb.py runs it in a Debian under systemd",
    "install-docker.md": "tests/deploy/test_docker.py runs it in containers",
    "install-ec2.md": "it needs an account at AWS; tests/deploy/test_ec2_files.py has its files",
    "install-lxc.md": "tests/deploy/test_lxc.py runs it in LXC",
    "routing-benchmark.md": "it takes half an hour; tests/e2e/test_routing_benchmark.py has a run",
    "serve.md": "tests/deploy/test_deb.py runs it under systemd, test_docker.py in containers",
    "tls.md": "it needs port 80 and a public name; tests/engine/test_tls.py and test_acme.py",
}
"""Page → why no command of it runs in tests/engine/test_docs.py, and where it does instead."""

NOT_HERE = {
    "apt-get install --yes make python3-venv curl": "tests/deploy/test_fresh_debian.py runs it",
    "make up": "tests/deploy/test_fresh_debian.py runs it, in a Debian that has nothing",
    "fail2ban-client reload": "it is the machine's own fail2ban; tests/engine/test_hardening.py",
}
"""Single commands likewise."""
