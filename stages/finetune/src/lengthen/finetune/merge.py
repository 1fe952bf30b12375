"""Base model and adapter as one plain model folder, for programs that know no adapters.

python -m lengthen.finetune.merge --model models/qwen2.5-7b --adapter runs/x/iter-03/generator --output models/x
"""

from __future__ import annotations

from pathlib import Path

import click
from lengthen.common.process.exit_codes import with_exit_codes
from lengthen.common.stage.command import FOLDER


@click.command(context_settings={"max_content_width": 110})
@click.option("--model", required=True, type=FOLDER, help="The base model that the adapter was trained on.")
@click.option("--adapter", required=True, type=FOLDER, help="The folder that finetune wrote.")
@click.option("--output", required=True, type=FOLDER, help="The new model folder; must not exist.")
def main(model: Path, adapter: Path, output: Path) -> None:
    """Write the base model with the adapter's weights added, in bfloat16 safetensors."""
    with_exit_codes(lambda: merge_folders(model, adapter, output))


def merge_folders(model: Path, adapter: Path, output: Path) -> None:
    """See `main`.

    Raises:
        UserError: the output exists, or the adapter isn't one of this model's.
    """
    from lengthen.common.model.adapter import open_adapter
    from lengthen.common.model.folder import open_model
    from lengthen.common.model.merging import merge
    from lengthen.common.process.errors import UserError
    from lengthen.common.process.progress import say

    if output.exists():
        raise UserError(f"{output} exists; give another --output, or remove it")
    weights = open_adapter(adapter, open_model(model)).path
    merge(model, weights, output)
    say(f"merge: {output} written from {model} and {adapter}")


if __name__ == "__main__":
    main()
