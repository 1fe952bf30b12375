"""A program: the training program with an output layer that takes few tokens at a time, as it takes 16k-token rows in chunks.

torchrun --nproc-per-node 2 train_in_pieces.py FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

from lengthen.finetune import loss
from lengthen.finetune.train import main

if __name__ == "__main__":
    loss._MAX_LOGITS = 2**13
    main(Path(sys.argv[1]))
