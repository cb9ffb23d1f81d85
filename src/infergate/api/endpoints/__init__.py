"""Endpoints of the operator's own: what a file of the folder `api.endpoints` imports (docs/api.md).

from infergate.api.endpoints import Call, endpoint

@endpoint("POST", "/v1/shout")
async def shout(text: Text, call: Call) -> Text: ...
"""

from infergate.api.endpoints.call import Call
from infergate.api.endpoints.declare import endpoint

__all__ = ["Call", "endpoint"]
