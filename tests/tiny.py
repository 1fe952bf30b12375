"""A tiny chat model that writes sentences of random words. The real engines can load its files, and it is built in a second.

It is a Llama of one layer. Attention and MLP have almost no effect, so the next token depends only on the last one: the output
layer has the log-probabilities of a random Markov chain over words, full stops, paragraph breaks and an end token.
"""

from __future__ import annotations

import json
import math
import random
from pathlib import Path

WORDS = [
    "river",
    "stone",
    "garden",
    "light",
    "winter",
    "bread",
    "letter",
    "window",
    "mountain",
    "quiet",
    "table",
    "harbour",
    "music",
    "paper",
    "road",
    "village",
    "morning",
    "forest",
    "bridge",
    "candle",
    "summer",
    "silver",
    "kitchen",
    "story",
    "market",
    "teacher",
    "ocean",
    "valley",
    "orchard",
    "lantern",
    "meadow",
    "copper",
    "island",
    "was",
    "is",
    "and",
    "with",
    "under",
    "over",
    "near",
    "from",
    "into",
    "beside",
    "keeps",
    "holds",
    "brings",
    "finds",
    "leaves",
    "opens",
    "turns",
    "carries",
    "watches",
    "builds",
]
STARTS = ["The", "Every", "This", "Our", "Her", "Some", "Many", "That", "One", "Each"]
TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
HIDDEN = 256


def build(folder: Path, seed: int = 0, *, context: int = 4096) -> Path:
    """Write the model to `folder`. Another seed gives another model."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary, merges = _vocabulary()
    raw = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    raw.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, bos_token=SPECIAL[1], eos_token=SPECIAL[2], pad_token=SPECIAL[0])
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)
    _save_model(folder, vocabulary, seed, context)
    return folder


def _vocabulary() -> tuple[dict[str, int], list[tuple[str, str]]]:
    """All bytes, then every prefix of each word. Each merge only makes a prefix longer, so merges don't compete."""
    from tokenizers import pre_tokenizers

    tokens = dict.fromkeys([*SPECIAL, *sorted(pre_tokenizers.ByteLevel.alphabet())])
    merges: dict[tuple[str, str], None] = {("Ċ", "Ċ"): None}
    for word in [*("Ġ" + word for word in WORDS), *("Ġ" + word for word in STARTS), *STARTS]:
        for end in range(1, len(word)):
            merges[(word[:end], word[end])] = None
    for left, right in merges:
        tokens[left + right] = None
    return {token: number for number, token in enumerate(tokens)}, list(merges)


def _chain(vocabulary: dict[str, int], seed: int) -> dict[str, dict[str, float]]:
    """The probabilities of the next token after each token. The key "" is for all tokens without a key."""
    rng = random.Random(seed)
    words = ["Ġ" + word for word in WORDS]
    chain = {word: dict.fromkeys(rng.sample(words, 12), 0.88 / 12) | {".": 0.12} for word in words}
    for start in [*STARTS, *("Ġ" + word for word in STARTS)]:
        chain[start] = dict.fromkeys(rng.sample(words, 15), 1 / 15)
    chain["."] = {"Ġ" + start: 0.77 / len(STARTS) for start in STARTS} | {"ĊĊ": 0.15, SPECIAL[2]: 0.08}
    chain[""] = {start: 1 / len(STARTS) for start in STARTS}
    return chain


def _save_model(folder: Path, vocabulary: dict[str, int], seed: int, context: int) -> None:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(vocabulary), hidden_size=HIDDEN, intermediate_size=128, num_hidden_layers=1, num_attention_heads=4,
        num_key_value_heads=2, head_dim=64, max_position_embeddings=context, tie_word_embeddings=False,
        bos_token_id=1, eos_token_id=2, pad_token_id=0,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    chain = _chain(vocabulary, seed)
    directions = torch.linalg.qr(torch.randn(HIDDEN, HIDDEN)).Q
    with torch.no_grad():
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight.mul_(1e-3)
            layer.mlp.down_proj.weight.mul_(1e-3)
        head = torch.zeros(len(vocabulary), HIDDEN)
        embedding = directions[0].repeat(len(vocabulary), 1)
        for number, (token, successors) in enumerate(chain.items()):
            logits = torch.full((len(vocabulary),), -12.0)
            for successor, probability in successors.items():
                logits[vocabulary[successor]] = math.log(probability)
            head += torch.outer(logits, directions[number]) / math.sqrt(HIDDEN)
            if token:
                embedding[vocabulary[token]] = directions[number]
            else:
                embedding[[n for name, n in vocabulary.items() if name not in chain]] = directions[number]
        model.model.embed_tokens.weight.copy_(embedding)
        model.lm_head.weight.copy_(head)
    model.to(torch.bfloat16).save_pretrained(folder)


def write_config(path: Path, model: Path, **sections: object) -> Path:
    """Write a config file for tests, as JSON, which is valid YAML."""
    settings: dict[str, object] = {
        "model": {"path": str(model), "max_model_len": 4096},
        "engine": {"rows_in_flight": 16, "max_num_seqs": 16, "cpu_kvcache_space_gib": 1},
        "check": {"min_words": 10},
        "augment": {"instructions": 6, "attempts": 4, "min_suitability": 0.0, "sampling": {"max_tokens": 60}},
        "generate": {"responses": 2, "attempts": 4, "sampling": {"max_tokens": 250, "repetition_penalty": 1.0}},
        "expand": {"extensions": 1, "attempts": 6, "rounds": 2, "sampling": {"max_tokens": 250, "repetition_penalty": 1.0}},
        "finetune": {
            "max_tokens_generator": 4096, "max_tokens_extender": 4096, "num_train_epochs": 3, "train_batch_size": 2,
            "runtime": {"deepspeed": "zero2", "gradient_checkpointing": False}, "validation_share": 0.2,
            "max_over_long_share": 0.2, "max_similarity": 1.0,
        },
        "evaluate": {"sampling": {"max_tokens": 200, "repetition_penalty": 1.0}},
    }  # fmt: skip
    for name, values in sections.items():
        before = settings.get(name)
        settings[name] = {**before, **values} if isinstance(before, dict) and isinstance(values, dict) else values
    path.write_text(json.dumps(settings))
    return path


def build_learner(folder: Path, chat_model: Path) -> Path:
    """Write a small Llama that can memorize texts through an adapter, with the tokenizer of the tiny chat model."""
    import shutil

    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    shutil.copytree(chat_model, folder)
    shape = json.loads((chat_model / "config.json").read_text())
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=shape["vocab_size"], hidden_size=HIDDEN, intermediate_size=512, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=64, max_position_embeddings=4096, tie_word_embeddings=False,
        bos_token_id=1, eos_token_id=2, pad_token_id=0, initializer_range=0.06,
    )  # fmt: skip
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    return folder
