"""A hundred thousand keys, two thousand models, a thousand backends have room: by their bytes."""

from __future__ import annotations

import json

import pytest

from infergate.config.load import LoadedConfig
from infergate.config.policies import Grant
from infergate.config.root import Config
from infergate.nginx.zones import (
    MB,
    Needs,
    Zone,
    capacity,
    entry_bytes,
    fills,
    needs,
    slab,
    zones,
)
from infergate.paths import Home
from infergate.state.policy import Policy
from infergate.state.routes import compile_routes

KEYS, MODELS, BACKENDS = 100_000, 2_000, 1_000
RICH = Grant.model_validate(
    {
        "models": ["model-0001", "model-0002", "team-*"],
        "limits": {"requests_per_minute": 60, "tokens_per_minute": 100_000, "concurrent": 4},
        "budget": ["10M-tokens/month"],
        "allow": ["10.0.0.0/8"],
    }
)


@pytest.mark.parametrize(
    ("size", "taken"), [(1, 8), (64, 64), (65, 128), (2048, 2048), (2049, 4096), (4097, 8192)]
)
def test_the_slab_rounds_to_powers_of_two_and_to_pages(size: int, taken: int) -> None:
    assert slab(size) == taken


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> tuple[LoadedConfig, Home, dict[str, int]]:
    """That many models and backends, and the snapshots of that many keys."""
    backends = {
        f"gpu-{n:04}": {"url": f"http://10.0.{n // 250}.{n % 250 + 1}:8000", "engine": "vllm"}
        for n in range(BACKENDS // 2)
    }
    names = list(backends)
    models = {
        f"model-{n:04}": {"backends": names[n % 490 : n % 490 + 8], "aliases": [f"alias-{n:04}"]}
        for n in range(MODELS)
    }
    tmp_path = tmp_path_factory.mktemp("large")
    config = Config.model_validate({"backends": backends, "models": models, "workers": 8})
    twice = {**config.backends, **{f"{n}-b": each for n, each in config.backends.items()}}
    config = config.model_copy(update={"backends": twice})
    loaded = LoadedConfig(config, tmp_path / "infergate.yaml", "", {})
    home = Home(tmp_path)
    home.state.mkdir()
    policy = Policy("user-000001", RICH, tenant="k key_0123456789ab").compiled()
    routes = compile_routes(config, {})
    value = json.dumps(policy)
    entries = ",".join(f'"{n:064x}":{value}' for n in range(KEYS))
    home.keys_snapshot.write_text(f'{{"keys":{{"set":{{{entries}}}}}}}')
    home.routes_snapshot.write_text(
        json.dumps(
            {"routes": {"set": dict(routes.routes)}, "catalog": {"set": dict(routes.catalog)}}
        )
    )
    pairs = sum(len(model.backends) for model in config.models.values())
    most = 40 * "x"  # a name as long as they are
    number = entry_bytes(f"1234567:{most}")
    taken = {
        "keys": KEYS * entry_bytes(64 * "0", policy),
        "routes": sum(entry_bytes(key, value) for key, value in routes.routes.items()),
        "catalog": 2 * sum(entry_bytes(key, value) for key, value in routes.catalog.items()),
        # Every key has a request in flight, in two workers.
        "inflight": BACKENDS * (1 + 8 * 4) * number
        + MODELS * number
        + 3 * KEYS * entry_bytes(f"1234567:@k {most}"),
        "limits": 2 * KEYS * entry_bytes(f"r k {most}"),
        "backends": BACKENDS * entry_bytes(most, "until:1234567890123"),
        "breakers": BACKENDS * entry_bytes(most, "x" * 150),
        "load": BACKENDS * entry_bytes(most),
        "turns": (pairs + 6 * MODELS) * entry_bytes(f"{most}\n{most}"),
        "waiting": 3 * MODELS * entry_bytes(f"n {most}"),
        "retries": MODELS * entry_bytes(most, "[1234567890123,1234567890,1234567]"),
        "locks": (BACKENDS + MODELS) * entry_bytes(f"trial {most}"),
    }
    return loaded, home, taken


def test_a_hundred_thousand_keys_two_thousand_models_and_a_thousand_backends_have_room(
    large: tuple[LoadedConfig, Home, dict[str, int]],
) -> None:
    loaded, home, taken = large
    found = {zone.name: zone for zone in zones(loaded.config, needs(loaded, home))}
    used = {name: size / capacity(found[name].mb) for name, size in taken.items()}
    assert {name for name, share in used.items() if share > 0.8} == set()
    assert sum(zone.mb for zone in found.values()) < 1536


def test_sizes_move_in_steps_so_few_changes_give_nginx_a_new_zone() -> None:
    config = Config.model_validate({"backends": {"a": {"url": "http://127.0.0.1:9"}}})
    steps = {zones(config, Needs(keys=n, keys_bytes=512 * n)) for n in range(0, 200_000, 500)}
    assert len(steps) < 30
    assert all(
        zone.mb & (zone.mb - 1) == 0 for step in steps for zone in step if zone.name != "shadow"
    )


def test_what_gives_up_its_oldest_entries_may_be_full_and_nobody_is_warned() -> None:
    told = {"keys": [MB, 0, 0], "limits": [MB, 0, 1], "routes": [MB, MB // 2, 0]}
    assert [fill.zone for fill in fills(told) if fill.is_short] == ["ig_keys"]
    assert Zone("limits", 1, "type=number timeout=1s evict").evicts
