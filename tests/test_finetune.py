"""What a training is made of: batches, learning rates, the loss's mask, token counts, and what is refused."""

from __future__ import annotations

import json
import math
import random
import shutil
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import ROOT, expansion_row, refused, write
from lengthen.common.config.finetune import Runtime
from lengthen.common.config.load import load_config
from lengthen.common.engine.chat import Chat
from lengthen.common.model.folder import open_model
from lengthen.common.process.errors import UserError
from lengthen.common.stage.code_digest import modules_of
from lengthen.common.stage.fingerprint import origin_of
from lengthen.common.stage.job import Job, open_job
from lengthen.common.store.origin import Origin
from lengthen.common.store.paths import ObjectPath
from lengthen.common.store.reader import open_dataset
from lengthen.common.store.writer import DatasetWriter
from lengthen.common.tables.definitions import ADAPTERS, EXPANSIONS
from lengthen.finetune import stage
from lengthen.finetune.batches import count_steps, evaluation_micros, padding_share, training_steps
from lengthen.finetune.checkpoint import newest_usable, prune, publish, step_folder
from lengthen.finetune.checks import check_ranks
from lengthen.finetune.estimate import memory_bytes, training_seconds
from lengthen.finetune.failures import TrainingFailed, advice, check_diverged
from lengthen.finetune.plan import training_plan
from lengthen.finetune.rows import TokenRows, encode_rows
from lengthen.finetune.schedule import learning_rate
from lengthen.finetune.stage import recipe_of
from lengthen.finetune.tokens import IGNORED, TokenData

_DICE = random.Random(4)
LENGTHS = [_DICE.randint(20, 400) for _ in range(203)]


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_every_row_is_in_one_step_of_an_epoch(ranks: int) -> None:
    steps = training_steps(LENGTHS, 3, rows_per_step=8, rows_per_micro=2, seed=5)
    for epoch in (1, 2, 3):
        assert sorted(row for step in steps if step.epoch == epoch for row in step.rows) == list(range(203))
    for step in steps:
        shares = [step.share(rank, ranks) for rank in range(ranks)]
        assert {len(share) for share in shares} == {4 // ranks}  # all ranks have to call the model equally often
        assert sorted(row for share in shares for micro in share for row in micro) == sorted(step.rows)


def test_the_order_follows_the_seed_and_changes_from_epoch_to_epoch() -> None:
    steps = training_steps(LENGTHS, 2, 8, 2, seed=5)
    assert steps == training_steps(LENGTHS, 2, 8, 2, seed=5) != training_steps(LENGTHS, 2, 8, 2, seed=6)
    first, second = ([step.rows for step in steps if step.epoch == epoch] for epoch in (1, 2))
    assert {frozenset(rows) for rows in first} != {frozenset(rows) for rows in second}


def test_a_part_of_an_epoch_ends_early() -> None:
    assert len(training_steps(LENGTHS, 0.5, 8, 2, seed=5)) == 13
    assert len(training_steps(LENGTHS, 1.5, 8, 2, seed=5)) == 39


def test_a_training_of_less_than_a_step_has_one() -> None:
    assert count_steps(11, 0.01, 8) == len(training_steps(LENGTHS[:11], 0.01, 8, 2, seed=5)) == 1


def test_the_longest_row_comes_first() -> None:
    assert LENGTHS.index(max(LENGTHS)) in training_steps(LENGTHS, 1, 8, 2, seed=5)[0].rows


@pytest.mark.parametrize("count", [48, 203])
def test_rows_of_similar_length_stand_together(count: int) -> None:
    """Few rows too: a laptop's run has some dozens."""
    lengths = LENGTHS[:count]
    grouped = padding_share(training_steps(lengths, 1, 4, 4, seed=5), lengths)
    shuffled = list(range(count))
    random.Random(1).shuffle(shuffled)
    fours = [shuffled[first : first + 4] for first in range(0, count, 4)]
    plain = 1 - sum(lengths) / sum(len(rows) * max(lengths[row] for row in rows) for rows in fours)
    assert grouped < 0.12 < 0.3 < plain


def test_the_smaller_step_of_an_epoch_has_rows_of_any_length() -> None:
    """Each of its tokens weighs more: that must not always be the shortest rows."""
    steps = training_steps(LENGTHS, 12, 8, 8, seed=5)
    longest = [max(LENGTHS[row] for row in step.rows) for step in steps if len(step.rows) < 8]
    assert len(longest) == 12 and max(longest) > 200 > 100 > min(longest)


def test_validation_sees_every_row_once_and_ranks_are_called_equally_often() -> None:
    micros = evaluation_micros(LENGTHS, 4, 2)
    assert sorted(row for micro in micros for row in micro) == list(range(203)) and len(micros) % 2 == 0


@pytest.mark.parametrize("shape", ["cosine", "linear", "constant"])
def test_no_step_has_a_learning_rate_of_zero_and_the_peak_is_reached_once(shape: str) -> None:
    rates = [learning_rate(step, 40, 1e-3, 0.1, shape) for step in range(1, 41)]
    assert rates[:4] == pytest.approx([0.25e-3, 0.5e-3, 0.75e-3, 1e-3])
    assert min(rates) > 0
    assert rates.count(max(rates)) == (37 if shape == "constant" else 1)
    assert learning_rate(1, 1, 1e-3, 0.1, shape) == 1e-3  # a training of one step learns


# The three families' ways to write a conversation, in templates of our own.
QWEN = (
    "{% if messages[0]['role'] != 'system' %}<|im_start|>system\nYou help people write.<|im_end|>\n{% endif %}"
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LLAMA = (
    "<|begin_of_text|>{% for m in messages %}<|start_header_id|>{{ m['role'] }}<|end_header_id|>\n\n"
    "{{ m['content'] | trim }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
TEMPLATES = {
    "SmolLM2": (
        None,
        "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
        "<|im_start|>user\nWrite about subject 0.<|im_end|>\n<|im_start|>assistant\n",
        "<|im_end|>",
    ),
    "Qwen": (
        QWEN,
        "<|im_start|>system\nYou help people write.<|im_end|>\n<|im_start|>user\nWrite about subject 0.<|im_end|>\n<|im_start|>assistant\n",
        "<|im_end|>",
    ),
    "Llama 3": (
        LLAMA,
        "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nWrite about subject 0.<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n",
        "<|eot_id|>",
    ),
}


def model_with_template(folder: Path, model: Path, template: str, end: str) -> Path:
    """The tiny model with another template and its control tokens."""
    shutil.copytree(model, folder)
    tokenizer = Chat(model).tokenizer
    tokenizer.add_special_tokens(
        {"eos_token": end, "additional_special_tokens": ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>"]}
    )
    tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    return folder


ALL_ROWS = ["finetune.length_biased_selection=false", "finetune.max_similarity=1"]


def encode(folder: Path, config: Path, data: Path, *settings: str) -> TokenRows:
    job = Job("finetune", load_config(config, list(settings)), folder / "out", 1, "")
    writer = DatasetWriter(job.output, ADAPTERS, Origin({}), job.config.store)
    writer.__enter__()  # left open: leaving removes what is looked at
    return encode_rows(job, [open_dataset(data, EXPANSIONS)], "generator", writer)


@pytest.mark.parametrize("family", TEMPLATES)
def test_the_loss_covers_the_answer_and_its_end_token_and_nothing_else(family: str, tmp_path: Path, model: Path, config: Path) -> None:
    template, before, end = TEMPLATES[family]
    folder = ROOT / "models" / "smollm2-135m-instruct"
    if template:
        folder = model_with_template(tmp_path / "model", model, template, end)
    answer = "The river was light.\n\nEvery stone keeps bread."
    data = write(tmp_path / "data", EXPANSIONS, [expansion_row(0, "The river.", answer)])
    rows = encode(tmp_path, config, data, f"model.path={folder}", "finetune.length_biased_selection=false", "finetune.validation_share=0")
    batch = TokenData(rows.train)
    ids, targets = (tensor[0].tolist() for tensor in batch.batch([0], torch.device("cpu")))
    labels = [IGNORED, *targets[:-1]]
    assert targets[-1] == IGNORED
    tokenizer = Chat(folder).tokenizer
    learned = [label for label in labels if label != IGNORED]
    assert tokenizer.decode(learned) == answer + end
    assert labels == [IGNORED] * (len(ids) - len(learned)) + learned and ids[-len(learned) :] == learned
    assert tokenizer.decode(ids[: -len(learned)]) == before
    assert learned.count(tokenizer.convert_tokens_to_ids(end)) == 1
    assert batch.answers == [len(learned)]


def test_padding_and_empty_batches_weigh_nothing(tmp_path: Path, model: Path, config: Path) -> None:
    texts = ["The river was light.", "Every stone keeps bread near one village and under our bridge."]
    data = write(tmp_path / "data", EXPANSIONS, [expansion_row(n, "The river.", text) for n, text in enumerate(texts)])
    rows = encode(tmp_path, config, data, "finetune.length_biased_selection=false", "finetune.validation_share=0")
    batch = TokenData(rows.train)
    ids, labels = batch.batch([0, 1], torch.device("cpu"))
    assert ids.shape == labels.shape == (2, max(batch.lengths))
    assert int((labels != IGNORED).sum()) == sum(batch.answers)
    assert bool((batch.batch([], torch.device("cpu"))[1] == IGNORED).all())


def test_the_loss_in_chunks_is_the_models_own_with_the_same_gradient(model: Path) -> None:
    from lengthen.finetune.loss import AnswerLoss
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    base = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    loss = AnswerLoss(get_peft_model(base, LoraConfig(task_type="CAUSAL_LM", r=4, target_modules="all-linear", init_lora_weights=False)))
    ids = torch.randint(3, 500, (3, 40))
    targets = torch.nn.functional.pad(ids[:, 1:], (0, 1), value=IGNORED)
    targets[:, :15] = targets[1, 30:] = IGNORED
    found: list[torch.Tensor] = []
    at_once: list[int] = []
    base.get_output_embeddings().register_forward_hook(lambda layer, inputs, logits: at_once.append(len(logits)))
    for chunk, whole in ((10**6, True), (10**6, False), (7, False)):
        loss.chunk_tokens = chunk
        loss.zero_grad()
        at_once.clear()
        value = loss(ids, targets, None, whole)
        value.backward()
        found.append(torch.cat([value.detach()[None], *(p.grad.flatten() for p in loss.parameters() if p.requires_grad)]))
    assert torch.allclose(found[0], found[1], rtol=1e-4, atol=1e-4) and torch.allclose(found[0], found[2], rtol=1e-4, atol=1e-4)
    answers = int((targets != IGNORED).sum())
    assert max(at_once) <= 7 and sum(at_once) == 2 * answers  # in the backward pass once more: no logits are kept


def test_every_token_is_trained_on_or_in_a_rejected_row(tmp_path: Path, config: Path) -> None:
    """Counted here from the texts, and there from the rows that were written and rejected."""
    words = [3, 8, 20, 40, 90, 14, 55, 30]
    content = [expansion_row(n, "The river.", " ".join(["river"] * count).capitalize() + ".") for n, count in enumerate(words)]
    content[3]["expansion"] += " <|im_end|> and on."
    data = write(tmp_path / "data", EXPANSIONS, content)
    rows = encode(tmp_path, config, data, "finetune.max_tokens_generator=80", "finetune.max_over_long_share=0.5", *ALL_ROWS)
    chat = Chat(load_config(config).model.path)
    from lengthen.common.engine.protocol import Prompt

    everything = sum(len(part) for row in content for part in chat.encode_example(Prompt(row["instruction"]), row["expansion"]))
    assert rows.tokens + rows.validation_tokens + rows.rejected_tokens == everything
    assert rows.rejected_tokens > 0 and rows.rows + rows.validation_rows < len(content)
    files = [TokenData(path) for path in (rows.train, rows.validation) if path]
    assert sum(sum(file.lengths) for file in files) == rows.tokens + rows.validation_tokens


def test_only_whole_checkpoints_of_the_same_plan_are_found_and_two_are_kept(tmp_path: Path) -> None:
    checkpoints = tmp_path / "checkpoints"
    for step, plan in ((5, "a"), (10, "a"), (15, "a"), (20, "b")):
        (tmp_path / "draft").mkdir()
        (tmp_path / "draft" / "state.safetensors").write_bytes(bytes([step]))
        publish(tmp_path / "draft", step_folder(checkpoints, step), plan)
    (step_folder(checkpoints, 15) / "state.safetensors").write_bytes(b"edited")
    assert newest_usable(checkpoints, "a") == step_folder(checkpoints, 10)
    assert sorted(path.name for path in checkpoints.iterdir()) == ["step-000005", "step-000010"]
    (step_folder(checkpoints, 10) / "complete.json").unlink()  # torn: it is written last
    assert newest_usable(checkpoints, "a") == step_folder(checkpoints, 5)
    for step in (30, 40, 50):
        shutil.copytree(step_folder(checkpoints, 5), step_folder(checkpoints, step))
    prune(checkpoints)
    assert sorted(path.name for path in checkpoints.iterdir()) == ["step-000040", "step-000050"]


def test_a_writer_that_was_taken_over_publishes_nothing(tmp_path: Path) -> None:
    staging = tmp_path / "writer-1"
    (staging / "draft").mkdir(parents=True)
    staging.rename(tmp_path / "lost-1")
    with pytest.raises(FileNotFoundError):
        publish(staging / "draft", tmp_path / "checkpoints" / "step-000001", "a")
    assert not (tmp_path / "checkpoints" / "step-000001").exists()


MEMORY_ERRORS = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB\nmore"),
    MemoryError(),
    RuntimeError("CUDA error: out of memory\nmore"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(handle)"),
    RuntimeError("std::bad_alloc"),
]


@pytest.mark.parametrize("error", MEMORY_ERRORS)
def test_out_of_memory_names_the_settings_that_keep_the_checkpoints(error: BaseException) -> None:
    message = advice(error)
    assert message is not None and "\n" not in message
    assert "finetune.runtime.per_device_train_batch_size" in message and "zero3_offload" in message
    assert "resumes from its last checkpoint; or lower finetune.max_tokens_ROLE" in message
    named = {name for name in Runtime.model_fields if f"finetune.runtime.{name}" in message}
    assert named == {"per_device_train_batch_size", "gradient_checkpointing", "deepspeed", "sequence_parallel_size"}


def test_an_operation_that_is_not_deterministic_names_the_setting() -> None:
    torch.use_deterministic_algorithms(True)
    try:
        with pytest.raises(RuntimeError) as raised:
            torch.zeros(3).put_(torch.tensor([1]), torch.tensor([2.0]))
    finally:
        torch.use_deterministic_algorithms(False)
    assert advice(raised.value) == "put_ does not have a deterministic implementation; set finetune.runtime.deterministic: false"


def test_a_training_that_diverges_is_stopped_and_the_step_named() -> None:
    check_diverged("loss", 2.0, "7 of 9", first=1.5, vocabulary=49152)
    check_diverged("loss", 11.0, "7 of 9", first=10.5, vocabulary=49152)  # a model that knew nothing to begin with
    check_diverged("gradient norm", 90.0, "7 of 9", first=1.5, vocabulary=49152)
    for name, value in (("loss", 12.0), ("loss", math.nan), ("validation loss", 12.0), ("gradient norm", math.inf)):
        with pytest.raises(TrainingFailed, match=f"{name} is .* at step 7 of 9; lower finetune.learning_rate"):
            check_diverged(name, value, "7 of 9", first=1.5, vocabulary=49152)


def test_a_bug_keeps_its_traceback() -> None:
    assert advice(RuntimeError("shapes differ")) is None
    assert advice(TrainingFailed("loss is nan at step 3")) == "loss is nan at step 3"


def test_memory_falls_with_checkpointing_and_with_zero_3() -> None:
    plan = {"dtype": "bfloat16", "ranks": 4, "per_device_train_batch_size": 1, "lora": {"r": 8}, "sequence_parallel_size": 1}

    def need(zero: str, checkpointing: bool) -> float:
        file = ROOT / "stages/finetune/src/lengthen/finetune/deepspeed" / f"{zero}.json"
        more = {"deepspeed": json.loads(file.read_text()), "gradient_checkpointing": checkpointing}
        return memory_bytes(plan | more, 16384, ROOT / "models" / "smollm2-135m-instruct") or math.nan

    assert need("zero3_offload", True) < need("zero3", True) < need("zero2", True) < need("zero2", False)
    alone = need("zero3", True)
    plan["sequence_parallel_size"] = 3
    assert need("zero3", True) < alone
    half = need("zero2", True) - need("zero3", True)  # three quarters of the weights, 269 MB in bfloat16
    plan["dtype"] = "float32"
    assert need("zero2", True) - need("zero3", True) == pytest.approx(2 * half) == pytest.approx(2 * 0.75 * 269e6, rel=0.01)


def test_the_estimated_time_grows_with_tokens_and_falls_with_ranks() -> None:
    plan = {"gradient_checkpointing": False, "num_train_epochs": 2.0, "ranks": 2}
    once = training_seconds(plan, 10_000, 135e6, 1e12)
    assert training_seconds(plan, 20_000, 135e6, 1e12) == pytest.approx(2 * once)
    assert training_seconds(plan | {"ranks": 4}, 10_000, 135e6, 1e12) == pytest.approx(once / 2)
    assert training_seconds(plan | {"gradient_checkpointing": True}, 10_000, 135e6, 1e12) == pytest.approx(1.5 * once)


def test_a_dora_adapter_is_refused(tmp_path: Path, config: Path, model: Path) -> None:
    from lengthen.common.store.files import file_digest

    path = tmp_path / "adapter" / ".adapter"
    path.mkdir(parents=True)
    (path / "adapter_model.safetensors").write_bytes(b"x")
    (path / "adapter_config.json").write_text(json.dumps({"r": 8, "lora_alpha": 16, "use_dora": True}))
    row = {"id": "0" * 32, "role": "generator", "base_model": open_model(model).sha256, "path": ".adapter", "rows": 1}
    row |= {"sha256": file_digest(path / "adapter_model.safetensors"), "adapter_sha256_before": None, "rejected_rows": 0}
    row |= {"tokens": 1, "steps": 1, "train_loss": 1.0, "eval_loss": None, "iteration": 1, "seed": 0}
    write(tmp_path / "adapter", ADAPTERS, [row])
    data = write(tmp_path / "data", EXPANSIONS, [expansion_row(0, "The river.", "The river was light.")])
    line = train_refused(config, data, tmp_path / "out", "--adapter", tmp_path / "adapter")
    assert "DoRA" in line
    (path / "training_args.bin").write_bytes(b"")
    line = train_refused(config, data, tmp_path / "out", "--adapter", tmp_path / "adapter")
    assert "pickle files (training_args.bin)" in line


def test_a_step_that_machines_cannot_share_evenly_is_refused(tmp_path: Path, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = write(tmp_path / "data", EXPANSIONS, [expansion_row(0, "The river.", "The river was light.")])
    monkeypatch.setenv("PET_NNODES", "3")
    assert "set it to a multiple of 3" in train_refused(config, data, tmp_path / "out")
    monkeypatch.setenv("PET_NNODES", "1:4")
    assert "PET_NNODES is '1:4'" in train_refused(config, data, tmp_path / "out")


@pytest.mark.parametrize("rank", ["", "one", "2"])
def test_a_machine_that_does_not_know_its_number_is_refused(
    rank: str, tmp_path: Path, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write(tmp_path / "data", EXPANSIONS, [expansion_row(0, "The river.", "The river was light.")])
    monkeypatch.setenv("PET_NNODES", "2")
    monkeypatch.setenv("PET_NODE_RANK", rank)
    assert f"PET_NODE_RANK is {rank!r}; set it to this machine's number, 0 to 1" in train_refused(config, data, tmp_path / "out")


def test_machines_that_share_no_folder_are_refused(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PET_NNODES", "2")
    job = Job("finetune", load_config(config), ObjectPath.parse("s3://bucket/out"), 1, "")
    with pytest.raises(UserError, match="not a bucket"):
        check_ranks(job)


def test_rows_that_are_given_twice_are_refused(tmp_path: Path, config: Path) -> None:
    data = write(tmp_path / "data", EXPANSIONS, [expansion_row(0, "The river.", "The river was light.")])
    assert "hold the same rows" in train_refused(config, data, tmp_path / "out", "--input", data)


def test_training_of_an_adapter_continues_with_the_dropout_of_the_config(tmp_path: Path, model: Path) -> None:
    from lengthen.finetune import lora

    settings = {"r": 4, "lora_alpha": 8, "lora_dropout": 0.0, "target_modules": "all-linear"}
    plan = {"model": str(model), "dtype": "float32", "sequence_parallel_size": 1, "gradient_checkpointing": False, "seed": 1}
    first = lora.load(plan | {"adapter": None, "lora": settings})
    lora.save(first, {name: value for name, value in first.named_parameters() if value.requires_grad}, plan, tmp_path)
    again = lora.load(plan | {"adapter": str(tmp_path), "lora": settings | {"lora_dropout": 0.5}})
    trained, same = ({name: value for name, value in found.named_parameters() if value.requires_grad} for found in (first, again))
    assert trained.keys() == same.keys() and all(torch.equal(trained[name], same[name]) for name in trained)
    assert {module.p for module in again.modules() if isinstance(module, torch.nn.Dropout)} == {0.5}


def test_ranks_that_cannot_share_a_row_are_refused(tmp_path: Path, config: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = write(tmp_path / "data", EXPANSIONS, [expansion_row(0, "The river.", "The river was light.")])

    def line(path: Path, sharing: int) -> str:
        runtime = (f"finetune.runtime.sequence_parallel_size={sharing}", "finetune.runtime.nproc_per_node=1")
        settings = (f"model.path={path}", *runtime, "finetune.train_batch_size=6")
        return train_refused(config, data, tmp_path / "out", *(part for setting in settings for part in ("--set", setting)))

    assert "can't be divided into groups of 3" in line(model, 3)
    monkeypatch.setenv("PET_NNODES", "3")
    assert "3 ranks can't share 4 attention heads and 2 of keys and values" in line(model, 3)
    shutil.copytree(model, tmp_path / "window")
    shape = json.loads((model / "config.json").read_text()) | {"layer_types": ["sliding_attention"]}
    (tmp_path / "window" / "config.json").write_text(json.dumps(shape))
    assert "doesn't attend to all tokens in every layer" in line(tmp_path / "window", 3)
    (tmp_path / "window" / "extra.bin").write_bytes(b"")
    assert "pickle files (extra.bin)" in line(tmp_path / "window", 3)


def test_the_slices_of_a_row_are_the_row() -> None:
    from lengthen.finetune.sequence_parallel import slices

    ids = torch.arange(1, 15).reshape(2, 7)
    targets = torch.where(ids > 4, ids + 1, IGNORED)
    found = slices(ids, targets, rows=3, ranks=3)
    assert [part[0].shape for part in found] == [(3, 3)] * 3
    whole_ids, whole_targets, positions = (torch.cat(parts, dim=1) for parts in zip(*found, strict=True))
    assert torch.equal(whole_ids[:2, :7], ids) and torch.equal(whole_targets[:2, :7], targets)
    assert bool((whole_targets[2:] == IGNORED).all()) and bool((whole_targets[:, 7:] == IGNORED).all())
    assert positions.tolist() == [list(range(9))] * 3


OTHER_RUNTIME = {
    "deterministic": "false",
    "nproc_per_node": 2,
    "per_device_train_batch_size": 2,
    "sequence_parallel_size": 2,
    "deepspeed": "zero3",
    "gradient_checkpointing": "true",
    "save_steps": 7,
}


def test_a_checkpoint_belongs_to_what_is_learned_and_not_to_the_devices(tmp_path: Path, config: Path) -> None:
    """The digest in the plan is what a checkpoint is compared with; a complete adapter is compared by its fingerprint."""
    data = write(tmp_path / "data", EXPANSIONS, [expansion_row(n, "The river.", f"The river was light {n}.") for n in range(3)])
    assert set(OTHER_RUNTIME) == set(Runtime.model_fields)

    def plan(*settings: str) -> dict[str, Any]:
        loaded = load_config(config, ["finetune.train_batch_size=4", "finetune.length_biased_selection=false", *settings])
        job, dataset = open_job(loaded, "", None, stage="finetune", output=tmp_path / "out", iteration=1), open_dataset(data, EXPANSIONS)
        origin = origin_of(job, recipe_of([dataset], "generator"))
        with DatasetWriter(job.output, ADAPTERS, origin, loaded.store, overwrite=True) as writer:
            return training_plan(job, encode_rows(job, [dataset], "generator", writer), writer)

    first = plan()
    for name, value in OTHER_RUNTIME.items():
        more = ["finetune.runtime.nproc_per_node=2"] if name == "sequence_parallel_size" else []
        other = plan(f"finetune.runtime.{name}={value}", *more)
        assert other["digest"] == first["digest"] and other[name] != first[name], name
    for setting in ("finetune.max_grad_norm=2", "finetune.lora.r=4", "finetune.num_train_epochs=1", "finetune.max_tokens_generator=4000"):
        assert plan(setting)["digest"] != first["digest"], setting


def test_every_module_is_in_the_fingerprint_or_set_aside() -> None:
    """A new module must be thought about: whether it can change the adapter."""
    package = Path(str(resources.files("lengthen.finetune")))
    modules = {f"lengthen.finetune.{file.stem}" for file in package.glob("*.py")}
    digested = {name for name in modules_of((stage.__name__, "lengthen.finetune.train"), stage.EXCLUDED) if name in modules}
    programs = {
        f"lengthen.finetune.{name}" for name in ("__init__", "__main__", "embedded", "encoder", "fetch", "merge", "torchrun")
    }  # they make no adapter, or run what is digested
    assert digested | set(stage.EXCLUDED) | programs == modules
    assert not digested & {*stage.EXCLUDED, *programs}
    learned = "batches encoding engine examples loop lora loss mixing outcome plan rows schedule sequence_parallel stage state token_file"
    assert digested == {f"lengthen.finetune.{name}" for name in (*learned.split(), "tokens", "train")}


def train_refused(config: Path, data: Path, output: Path, *more: object) -> str:
    return refused("finetune", "--config", config, "--input", data, "--output", output, "--role", "generator", *more)
