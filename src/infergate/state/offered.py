"""What backends offer: what they have, without what their model_filter leaves out, and without what
ran there before the file named another engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from infergate.config.root import Config
from infergate.health.inventory import Inventory


def offered(config: Config, inventories: Mapping[str, Inventory]) -> Mapping[str, Inventory]:
    """The inventories as far as the configuration lets their models be served."""
    inventories = {
        name: each
        for name, each in inventories.items()
        if (backend := config.backends.get(name)) is None or backend.engine in ("auto", each.kind)
    }
    filters = {
        name: backend.model_filter
        for name, backend in config.backends.items()
        if name in inventories and not backend.model_filter.lets_all
    }
    if not filters:
        return inventories
    left = {
        name: tuple(model for model in inventories[name].models if each.lets(model.id))
        for name, each in filters.items()
    }
    return {
        **inventories,
        **{name: replace(inventories[name], models=models) for name, models in left.items()},
    }
