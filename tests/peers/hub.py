"""Writes a cache of a hub in which the models that vLLM's own tests ask for are tiny random ones.

    python tests/peers/hub.py HF_HOME      (vLLM's Python: needs torch and transformers; no network)

A test that wants a model's own words fails with it, at the engine as well.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "backends"))

import torch
from safetensors.torch import save_file
from tiny_qwen2 import tokenizer
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen2ForSequenceClassification,
    Qwen3Config,
    Qwen3ForCausalLM,
)

COMMIT = "0" * 40
"""The only version of each."""

CONTEXT = 32768
"""Tokens: some tests ask for 10,000."""

HIDDEN, LAYERS, HEADS, KV_HEADS, HEAD = 128, 2, 4, 2, 32
RANK = 8

QWEN3 = ("Qwen/Qwen3-0.6B", "Qwen/Qwen3-1.7B", "Qwen/Qwen3-8B")
QWEN2 = (
    *("Qwen/Qwen2.5-1.5B-Instruct", "Qwen/Qwen2-1.5B-Instruct", "facebook/opt-125m"),
    *("HuggingFaceTB/SmolLM2-135M-Instruct", "hmellor/tiny-random-LlamaForCausalLM"),
    *("HuggingFaceH4/zephyr-7b-beta", "openai-community/gpt2", "distilbert/distilgpt2"),
    *("TinyLlama/TinyLlama-1.1B-Chat-v1.0", "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B"),
)
CLASSIFIERS = ("jason9693/Qwen2.5-1.5B-apeach",)
RERANKERS = ("BAAI/bge-reranker-base", "cross-encoder/ms-marco-MiniLM-L-6-v2")
EMBEDDERS = (
    *("intfloat/multilingual-e5-small", "BAAI/bge-base-en-v1.5", "intfloat/e5-small"),
    *("sentence-transformers/all-MiniLM-L12-v2", "Snowflake/snowflake-arctic-embed-m-v1.5"),
)
LORAS = (
    *("typeof/zephyr-7b-beta-lora", "charent/self_cognition_Alice"),
    *("Jackmin108/Qwen3-0.6B-Meow-LoRA", "Jackmin108/Qwen3-0.6B-Woof-LoRA"),
    *("jekunz/smollm-135m-lora-fineweb-faroese",),
)


def _decoder(words: PreTrainedTokenizerFast) -> dict[str, Any]:
    return {
        "vocab_size": len(words),
        "hidden_size": HIDDEN,
        "intermediate_size": 2 * HIDDEN,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "max_position_embeddings": CONTEXT,
        "tie_word_embeddings": False,
        "bos_token_id": None,
        "eos_token_id": words.eos_token_id,
        "pad_token_id": words.pad_token_id,
    }


def _encoder(words: PreTrainedTokenizerFast) -> dict[str, Any]:
    return {
        "vocab_size": len(words),
        "hidden_size": HIDDEN,
        "intermediate_size": 2 * HIDDEN,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "max_position_embeddings": 512,
        "pad_token_id": words.pad_token_id,
    }


def _folder(home: Path, name: str) -> Path:
    """Of a model of this name in the cache, as huggingface_hub looks for it."""
    model = home / "hub" / f"models--{name.replace('/', '--')}"
    (model / "refs").mkdir(parents=True, exist_ok=True)
    (model / "refs" / "main").write_text(COMMIT)
    snapshot = model / "snapshots" / COMMIT
    snapshot.mkdir(parents=True, exist_ok=True)
    return snapshot


def _write_lora(folder: Path) -> None:
    """One for the decoders, of both kinds."""
    (folder / "adapter_config.json").write_text(
        json.dumps(
            {
                "peft_type": "LORA",
                "task_type": "CAUSAL_LM",
                "r": RANK,
                "lora_alpha": RANK,
                "target_modules": ["o_proj"],
                "base_model_name_or_path": "tiny",
            }
        )
    )
    start = "base_model.model.model.layers"
    weights = {}
    for layer in range(LAYERS):
        name = f"{start}.{layer}.self_attn.o_proj"
        weights[f"{name}.lora_A.weight"] = torch.randn(RANK, HEADS * HEAD)
        weights[f"{name}.lora_B.weight"] = torch.randn(HIDDEN, RANK)
    save_file(weights, folder / "adapter_model.safetensors")


def main() -> None:
    home, words = Path(sys.argv[1]), tokenizer()
    words.model_max_length = CONTEXT
    torch.manual_seed(7)
    decoder, encoder = _decoder(words), _encoder(words)
    models = {
        QWEN3: Qwen3ForCausalLM(Qwen3Config(**decoder, head_dim=HEAD)),
        QWEN2: Qwen2ForCausalLM(Qwen2Config(**decoder)),
        CLASSIFIERS: Qwen2ForSequenceClassification(Qwen2Config(**decoder, num_labels=2)),
        RERANKERS: BertForSequenceClassification(BertConfig(**encoder, num_labels=1)),
        EMBEDDERS: BertModel(BertConfig(**encoder)),
    }
    for names, model in models.items():
        for name in names:
            folder = _folder(home, name)
            model.to(torch.float32).save_pretrained(folder)
            words.save_pretrained(folder)
    for name in LORAS:
        _write_lora(_folder(home, name))


if __name__ == "__main__":
    main()
