"""Turn examples into tokens with Hugging Face `datasets`: mapped into memory, on all cores.

`datasets` starts its processes from a program of its own (encoder.py), for two reasons: the stage's process has threads, which do
not survive a fork; and a signal that arrives while `datasets` waits for its processes can be lost there. The stage waits for the
program and can end it, with all of its processes, at any time.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from lengthen.common.engine.protocol import Prompt
from lengthen.common.process.cores import available_cores
from lengthen.common.process.errors import TransientError, UserError
from lengthen.common.store.lock import taken_over
from lengthen.common.text.prompt_text import check_prompt_text

if TYPE_CHECKING:
    from lengthen.common.engine.chat import Chat

# `texts` are all texts of the row that a control token must not be in.
EXAMPLES = pa.schema(
    {name: pa.string() for name in ("id", "parent_id")}
    | {"validation": pa.bool_()}
    | dict.fromkeys(("prompt", "answer", "texts"), pa.string())
)
_KEPT = [EXAMPLES.field(name) for name in ("id", "parent_id", "validation")]
_TOKENS = [("input_ids", pa.list_(pa.int32())), ("prompt_tokens", pa.int32())]
ENCODED = pa.schema([*_KEPT, *_TOKENS, ("reason", pa.string()), ("detail", pa.string())])  # a rejection's; empty without one
BATCH_ROWS = 64  # that are held in memory at once: of 16,000 tokens, about 10 MB
FEW_ROWS = 500  # fewer are encoded sooner than processes have started
EXAMPLES_FILE, ERROR_FILE = "examples.arrow", "encoder-error.txt"


def encode_file(folder: Path, rows: int, model: Path) -> Iterator[pa.RecordBatch]:
    """The rows of `folder/examples.arrow` (EXAMPLES), encoded (ENCODED), in the same order. With any number of processes they are equal.

    Raises:
        UserError: the model's chat template can't be used.
        TransientError: a process was killed.
    """
    processes = available_cores()
    if rows >= FEW_ROWS and processes > 1:
        _run_encoder(folder, model, processes)
    elif rows:
        map_examples(folder, str(model), 1)
    (folder / EXAMPLES_FILE).unlink()
    for path in sorted(folder.glob("encoded*.arrow")):
        # Read, not mapped: pages of a mapped file would count as this process's memory.
        with pa.OSFile(str(path)) as file, pa.ipc.open_stream(file) as stream:
            yield from stream
        path.unlink()


def map_examples(folder: Path, model: str, processes: int) -> None:
    """Write `folder/encoded*.arrow`. Nothing is written elsewhere, and nothing is looked up on the network."""
    import datasets

    datasets.disable_progress_bars()
    datasets.utils.logging.set_verbosity_error()
    datasets.Dataset.from_file(str(folder / EXAMPLES_FILE)).map(
        encode_example,
        fn_kwargs={"model": model},
        num_proc=processes if processes > 1 else None,
        remove_columns=["prompt", "answer", "texts"],
        features=datasets.Features.from_arrow_schema(ENCODED),
        writer_batch_size=BATCH_ROWS,
        cache_file_name=str(folder / "encoded.arrow"),
        load_from_cache_file=False,
        new_fingerprint="encoded",  # by default a digest of the function, which is of no use: the folder is this run's own
    )


def encode_example(example: dict[str, Any], model: str) -> dict[str, Any]:
    """One row of EXAMPLES to the columns of ENCODED that it lacks."""
    import numpy as np

    chat = chat_of(model)
    prompt, answer = chat.encode_example(Prompt(example["prompt"]), example["answer"])
    bad = check_prompt_text(example["texts"], chat.control_tokens)
    return {
        "input_ids": np.array(prompt + answer, np.int32),
        "prompt_tokens": len(prompt),
        "reason": bad.reason if bad else "",
        "detail": bad.detail if bad else "",
    }


@cache
def chat_of(model: str) -> Chat:
    """A model's tokenizer, loaded once in a process."""
    from lengthen.common.engine.chat import Chat  # transformers: only when there is something to encode

    return Chat(Path(model))


def _run_encoder(folder: Path, model: Path, processes: int) -> None:
    """Run encoder.py and end it when this stage is stopped."""
    command = [sys.executable, "-m", "lengthen.finetune.encoder", str(folder), str(model), str(processes)]
    # The cores are used by processes; a tokenizer's threads would compete with them.
    environment = os.environ | {"TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1", "HF_DATASETS_CACHE": str(folder)}
    child = subprocess.Popen(command, env=environment, start_new_session=True)
    try:
        code = child.wait()
    finally:
        if child.returncode is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
    if not folder.exists():
        raise taken_over(folder)
    if (error := folder / ERROR_FILE).exists():
        raise UserError(error.read_text())
    if code:
        raise TransientError(
            f"encoding ended with exit code {code}; see the lines above. If the system killed a process, memory was too small: "
            "give the stage more, or fewer cores"
        )
