"""What real Ray Serve and real ray.serve.llm understand of a configuration, as JSON: run with Ray's
Python and vLLM's packages on the path. pyarrow, which only reads models from clouds, stands in."""

import importlib.machinery
import json
import sys
from pathlib import Path
from unittest.mock import MagicMock

for name in ("pyarrow", "pyarrow.fs"):
    stand_in = MagicMock(__version__="20.0.0", __path__=[])
    stand_in.__spec__ = importlib.machinery.ModuleSpec(name, None)
    sys.modules[name] = stand_in

import yaml  # noqa: E402
from ray.serve.llm import LLMServingArgs  # noqa: E402
from ray.serve.schema import ServeDeploySchema  # noqa: E402

deploy = ServeDeploySchema.model_validate(yaml.safe_load(Path(sys.argv[1]).read_text()))
(application,) = deploy.applications
models = LLMServingArgs.model_validate(application.args).llm_configs
engines = [each.get_engine_config() for each in models]
print(
    json.dumps(
        {
            "port": deploy.http_options.port,
            "proxies": deploy.proxy_location,
            "models": [
                {
                    "name": each.model_id,
                    "source": each.model_loading_config.model_source,
                    "tensor": engine.tensor_parallel_degree,
                    "pipeline": engine.pipeline_parallel_degree,
                    "gpus": sum(bundle.get("GPU", 0) for bundle in engine.placement_bundles),
                    "replicas": each.deployment_config["num_replicas"],
                }
                for each, engine in zip(models, engines, strict=True)
            ],
        }
    )
)
