"""`python -m tests.grafana`: write the dashboards that Infergate ships."""

from __future__ import annotations

from tests.grafana.written import FOLDER, texts

for name, text in texts().items():
    (FOLDER / name).write_text(text)
