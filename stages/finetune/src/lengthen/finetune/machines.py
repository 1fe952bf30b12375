"""Several machines that train together, as torchrun's own environment variables say."""

from __future__ import annotations

import os

from lengthen.common.process.errors import UserError


def machine_count() -> int:
    """How many machines train together: PET_NNODES; unset: only this one.

    Raises:
        UserError: it is not a plain number (an elastic range would change the batches).
    """
    value = os.environ.get("PET_NNODES", "1")
    if not value.isdecimal() or int(value) < 1:
        raise UserError(f"PET_NNODES is {value!r}; set it to the number of machines, such as 2")
    return int(value)


def machine_rank() -> int:
    """This machine's number: PET_NODE_RANK. Machine 0 makes the rows and writes the dataset; the others only train.

    Raises:
        UserError: there are several machines, and it is not the number of one of them.
    """
    count = machine_count()
    if count == 1:
        return 0
    value = os.environ.get("PET_NODE_RANK", "")
    if not value.isdecimal() or int(value) >= count:
        raise UserError(f"PET_NODE_RANK is {value!r}; set it to this machine's number, 0 to {count - 1} (PET_NNODES is {count})")
    return int(value)
