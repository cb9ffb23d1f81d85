"""PROVISIONAL stand-in until the real loader lands; overwrite me."""
from __future__ import annotations
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from ruamel.yaml import YAML
from infergate.config.root import Config

@dataclass(frozen=True)
class LoadedConfig:
    config: Config
    path: Path
    warnings: tuple[object, ...] = ()
    def resolve(self, path: str) -> Path:
        return self.path.parent / path

def load_config(path: Path, environ: Mapping[str, str] = os.environ) -> LoadedConfig:
    return LoadedConfig(Config.model_validate(YAML(typ="safe").load(path)), path)
