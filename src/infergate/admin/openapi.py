"""`python -m infergate.admin.openapi` prints the OpenAPI document of the admin API, for docs/."""

from __future__ import annotations

import json

from infergate.admin.app import api
from infergate.admin.gateway import Gateway


def openapi() -> str:
    """The document as it is kept in docs/admin-api.openapi.json."""

    def nobody() -> Gateway:
        raise AssertionError("describing asks no gateway")

    return json.dumps(api(nobody).openapi(), indent=2, ensure_ascii=False)


if __name__ == "__main__":
    print(openapi())
