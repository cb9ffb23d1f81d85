"""All of them. What a metric means: src/infergate/metrics/counted.py and live.py."""

from __future__ import annotations

from tests.grafana.backends import BACKENDS
from tests.grafana.itself import GATEWAY
from tests.grafana.keys import KEYS
from tests.grafana.models import MODELS
from tests.grafana.overview import OVERVIEW

ALL = (OVERVIEW, MODELS, KEYS, BACKENDS, GATEWAY)
