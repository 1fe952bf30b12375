"""Find the figures of the stage that wrote a dataset: `FIGURES` in the module `figures` of each stage that writes shards."""

from __future__ import annotations

import importlib

from lengthen.common.process.errors import UserError
from lengthen.common.store.figures import Figures
from lengthen.common.store.manifest import Manifest

SHARDED = ("generate", "expand", "evaluate")


def stage_figures(manifest: Manifest) -> Figures:
    """The same figures that the stage uses when it commits, so that a sealed dataset has the same summary.

    Raises:
        UserError: the stage writes no shards, or its package is not installed.
    """
    stage = manifest.fingerprint.get("stage")
    if stage not in SHARDED:
        raise UserError(f"the shards were written by {stage!r}, but only shards of {', '.join(SHARDED)} can be sealed")
    try:
        module = importlib.import_module(f"lengthen.{stage}.figures")
    except ModuleNotFoundError as error:
        raise UserError(
            f"the shards were written by the package lengthen-{stage}, which is not installed; install it, or seal in its image"
        ) from error
    figures: Figures = module.FIGURES
    return figures
