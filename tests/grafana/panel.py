"""One panel, and how Grafana's own library says it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from grafana_foundation_sdk.builders import dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.models.dashboard import DashboardCursorSync, DataSourceRef
from grafana_foundation_sdk.models.dashboard import VariableRefresh as Refresh

SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
RATE = "[$__rate_interval]"


@dataclass(frozen=True)
class Panel:
    """queries: (PromQL, legend), with $__rate_interval as Grafana fills it in, and variables of
    the dashboard. unit: Grafana's word for it. kind: number for the value now."""

    title: str
    meaning: str
    unit: str
    queries: Sequence[tuple[str, str]]
    kind: Literal["lines", "number"] = "lines"
    width: int = 12

    def built(self) -> Any:
        """Grafana's own builder of it."""
        made: Any = timeseries.Panel() if self.kind == "lines" else stat.Panel()
        made = made.title(self.title).description(self.meaning).unit(self.unit).min(0)
        made = made.datasource(SOURCE).span(self.width).height(8 if self.kind == "lines" else 4)
        for at, (expr, legend) in enumerate(self.queries):
            query = prometheus.Dataquery().expr(expr).legend_format(legend).ref_id(chr(65 + at))
            made = made.with_target(query if self.kind == "lines" else query.instant())
        return made


@dataclass(frozen=True)
class Dashboard:
    """variables: (name, label of a metric, the metric that has it) to choose from."""

    uid: str
    title: str
    meaning: str
    panels: Sequence[Panel]
    variables: Sequence[tuple[str, str, str]] = ()

    def built(self) -> Any:
        """Grafana's own model of it."""
        made = (
            dashboard.Dashboard(self.title)
            .uid(self.uid)
            .description(self.meaning)
            .tags(["infergate"])
            .refresh("30s")
            .time("now-1h", "now")
            .timezone("browser")
            .tooltip(DashboardCursorSync.CROSSHAIR)
            .link(dashboard.DashboardLink("Infergate").tags(["infergate"]).as_dropdown(True))
            .with_variable(
                dashboard.DatasourceVariable("datasource").type("prometheus").label("Prometheus")
            )
        )
        for name, label, metric in self.variables:
            made = made.with_variable(
                dashboard.QueryVariable(name)
                .query(f"label_values({metric}, {label})")
                .datasource(SOURCE)
                .multi(True)
                .include_all(True)
                .all_value(".*")
                .refresh(Refresh.ON_TIME_RANGE_CHANGED)
            )
        for number, each in enumerate(self.panels, 1):
            made = made.with_panel(each.built().id(number))
        return made.build()
