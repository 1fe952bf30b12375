"""The loss of the general-ability guard against a second way to compute it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import tiny


@pytest.mark.engine
@pytest.mark.ci
def test_the_guards_loss_is_the_models_with_and_without_an_adapter(tmp_path: Path, model: Path) -> None:
    """With an adapter beside the base model (self-judge) vLLM can't score a whole prompt at once; an adapter that does nothing
    has the base model's loss, and both have the loss that transformers computes."""
    import torch
    from lengthen.common.chat import Chat
    from lengthen.common.engine.protocol import Prompt
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    plain = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    chat = Chat(model)
    expected = []
    for answer in ["The bread is near the window.", "Every garden."]:
        before, ids = chat.encode(Prompt("Where is the bread?")), chat.ids(answer)
        with torch.no_grad():
            logits = plain(torch.tensor([before + ids])).logits[0, len(before) - 1 : -1]
        expected.append(float(logits.log_softmax(-1)[range(len(ids)), ids].sum()))
    get_peft_model(plain, LoraConfig(r=8, target_modules="all-linear")).save_pretrained(tmp_path / "adapter")
    config = tiny.write_config(tmp_path / "c.yaml", model)
    program = Path(__file__).parent / "score_with_adapter.py"
    command = [sys.executable, str(program), str(config), str(tmp_path / "adapter")]
    made = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert made.returncode == 0, made.stderr[-3000:]
    found = json.loads(made.stdout.strip().splitlines()[-1])
    assert found["base"] == pytest.approx(expected, rel=0.02)
    assert found["tuned"] == pytest.approx(found["base"], rel=0.01)
    assert len(found["grades"]) == 7
