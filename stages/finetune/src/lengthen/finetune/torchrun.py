"""torchrun, which ends when the stage that started it ends; its workers end with it."""

from __future__ import annotations

import logging
import sys

from lengthen.finetune.parent_death import die_with_parent

if __name__ == "__main__":
    die_with_parent()
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import main

    logging.disable(logging.ERROR)  # a rank that failed has said why itself
    try:
        main()
    except ChildFailedError:
        sys.exit(1)
