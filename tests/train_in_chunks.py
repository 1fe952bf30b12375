"""The training program with a small chunk size of the output layer, so that short rows are chunked like rows of 16k tokens.

torchrun --nproc-per-node 2 train_in_chunks.py FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

from lengthen.finetune import loss
from lengthen.finetune.train import main

if __name__ == "__main__":
    loss._MAX_LOGITS = 2**13
    main(Path(sys.argv[1]))
