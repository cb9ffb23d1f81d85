"""The database of these tests (see tests/databases.py), and what counts into it (counting.py)."""

from tests.databases import database, open_database, postgres_url, server, store_line
from tests.unit.ledger.counting import config, home, ledger

__all__ = ["config", "database", "home", "ledger"]
__all__ += ["open_database", "postgres_url", "server", "store_line"]
