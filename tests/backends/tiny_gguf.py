"""Writes a llama model in GGUF with 0.2 million random weights, which says English words.

    python tests/backends/tiny_gguf.py OUT.gguf        (needs gguf and numpy)

One hidden dimension is a constant that the output head uses as a bias for each token, so bytes and
parts of words are never said, and an answer never ends by itself (a test sets max_tokens).
"""

from __future__ import annotations

import sys

import gguf
import numpy as np

WORDS = (
    "the of and to in is that it was for on are as with they at be this from have or by one had "
    "not but what all were when we there can an your which their if do will each about how up out "
    "them then many some so these would other into has more two like time see no way could people "
    "my than first been call who oil now find long down day did get come made may part hello "
    "gateway model token cache route stream request"
).split()
WORDS = list(dict.fromkeys(WORDS))
EMBEDDING, LAYERS, HEADS, KV_HEADS, CONTEXT = 64, 2, 4, 2, 4096
SPACE = "\u2581"
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


class Vocabulary:
    """Tokens in order; `said` are those the model may generate."""

    def __init__(self) -> None:
        self.tokens: list[bytes] = []
        self.scores: list[float] = []
        self.types: list[int] = []
        self.said: list[int] = []
        kind = gguf.TokenType
        self.add("<unk>", kind.UNKNOWN)
        self.bos = self.add("<s>", kind.CONTROL)
        self.add("</s>", kind.CONTROL)
        for byte in range(256):
            self.add(f"<0x{byte:02X}>", kind.BYTE)
        self.add("<|im_start|>", kind.CONTROL)
        self.eos = self.add("<|im_end|>", kind.CONTROL)
        # The tokenizer merges pair by pair, so every beginning of a word must be a token.
        whole = {SPACE + word for word in WORDS}
        pieces = {word[:length] for word in whole for length in range(2, len(word) + 1)}
        for piece in sorted(pieces, key=lambda text: (len(text), text)):
            index = self.add(piece, kind.NORMAL, -len(self.tokens) * 0.001)
            if piece in whole:
                self.said.append(index)
        for letter in [SPACE, *(chr(code) for code in range(33, 127))]:
            if letter not in pieces:
                self.add(letter, kind.NORMAL, -50 - len(self.tokens) * 0.001)

    def add(self, text: str, kind: gguf.TokenType, score: float = 0.0) -> int:
        self.tokens.append(text.encode())
        self.scores.append(score)
        self.types.append(int(kind))
        return len(self.tokens) - 1


HEAD, FEED = EMBEDDING // HEADS, EMBEDDING * 2
_RANDOM = np.random.default_rng(7)


def weights(*shape: int, spread: float = 0.08) -> np.ndarray:
    return _RANDOM.normal(0, spread, shape).astype(np.float32)


def main() -> None:
    words = Vocabulary()
    writer = gguf.GGUFWriter(sys.argv[1], "llama")
    describe(writer, words)
    fill(writer, words)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def describe(writer: gguf.GGUFWriter, words: Vocabulary) -> None:
    """What the model is."""
    writer.add_name("tiny-random-llama")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(EMBEDDING)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(HEAD)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(len(words.tokens))
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(words.tokens)
    writer.add_token_scores(words.scores)
    writer.add_token_types(words.types)
    writer.add_bos_token_id(words.bos)
    writer.add_eos_token_id(words.eos)
    writer.add_unk_token_id(0)
    writer.add_pad_token_id(2)
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(True)
    writer.add_chat_template(TEMPLATE)


def fill(writer: gguf.GGUFWriter, words: Vocabulary) -> None:
    """Its weights."""
    size = len(words.tokens)
    embedding = weights(size, EMBEDDING, spread=0.5)
    embedding[:, 0] = 2.0  # dimension 0 is the constant
    bias = np.full(size, -30.0, np.float32)
    bias[words.said] = 0.0
    output = weights(size, EMBEDDING, spread=0.1)
    output[:, 0] = bias
    writer.add_tensor("token_embd.weight", embedding)
    for layer in range(LAYERS):
        name = f"blk.{layer}."
        attention_out = weights(EMBEDDING, EMBEDDING, spread=0.15)
        down = weights(EMBEDDING, FEED, spread=0.15)
        attention_out[0] = down[0] = 0  # nothing writes into the constant
        writer.add_tensor(name + "attn_norm.weight", np.ones(EMBEDDING, np.float32))
        writer.add_tensor(name + "attn_q.weight", weights(EMBEDDING, EMBEDDING))
        writer.add_tensor(name + "attn_k.weight", weights(KV_HEADS * HEAD, EMBEDDING))
        writer.add_tensor(name + "attn_v.weight", weights(KV_HEADS * HEAD, EMBEDDING))
        writer.add_tensor(name + "attn_output.weight", attention_out)
        writer.add_tensor(name + "ffn_norm.weight", np.ones(EMBEDDING, np.float32))
        writer.add_tensor(name + "ffn_gate.weight", weights(FEED, EMBEDDING))
        writer.add_tensor(name + "ffn_up.weight", weights(FEED, EMBEDDING))
        writer.add_tensor(name + "ffn_down.weight", down)
    writer.add_tensor("output_norm.weight", np.ones(EMBEDDING, np.float32))
    writer.add_tensor("output.weight", output)


if __name__ == "__main__":
    main()
