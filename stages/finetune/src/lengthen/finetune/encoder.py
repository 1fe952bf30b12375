"""python -m lengthen.finetune.encoder FOLDER MODEL PROCESSES: encode the examples of a folder. Started by encoding.py.

Processes that `datasets` forks, its workers and its manager, end with this one, and this one with the stage that started it.
"""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path

from lengthen.common.process.errors import UserError
from lengthen.finetune.encoding import ERROR_FILE, chat_of, map_examples
from lengthen.finetune.parent_death import die_with_parent


def main(folder: Path, model: str, processes: int) -> None:
    die_with_parent()
    os.register_at_fork(after_in_child=die_with_parent)
    try:
        chat_of(model)  # before the fork: about 300 MB, with its libraries, that the workers share
        gc.freeze()  # a collection would write to these pages, and so copy them
        map_examples(folder, model, processes)
    except UserError as error:
        (folder / ERROR_FILE).write_text(str(error))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
