"""The database of these tests; see tests/databases.py."""

from tests.databases import database, open_database, postgres_url, server, store_line, store_url

__all__ = ["database", "open_database", "postgres_url", "server", "store_line", "store_url"]
