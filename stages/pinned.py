"""Pin an overlay of the cluster to the images that were pushed.

    python3 stages/pinned.py DIGESTS OVERLAY REGISTRY

Reads DIGESTS/STAGE, one digest a file, and writes k8s/overlays/pinned-OVERLAY over k8s/overlays/OVERLAY.
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
_PATHS = "images.yaml"  # where kustomize finds images in WorkflowTemplates; it reads no file from outside the folder


def overlay(digests: dict[str, str], over: str, registry: str) -> str:
    """The text of its kustomization.yaml.

    Raises:
        ValueError: what a registry answered is no digest.
    """
    for stage, digest in digests.items():
        if not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
            raise ValueError(f"{stage}: {digest!r} is no digest")
    images = [
        f"  - {{name: lengthen/{stage}, newName: {registry}/lengthen/{stage}, digest: {digests[stage]}}}" for stage in sorted(digests)
    ]
    return (
        "# Written by `make push`: the images that were pushed, by digest.\n"
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"
        f"resources: [../{over}]\nconfigurations: [{_PATHS}]\nimages:\n" + "\n".join(images) + "\n"
    )


def main() -> None:
    folder, over, registry = sys.argv[1:]
    digests = {path.name: path.read_text().strip() for path in sorted(Path(folder).iterdir())}
    target = ROOT / "k8s" / "overlays" / f"pinned-{over}"
    target.mkdir(parents=True, exist_ok=True)
    (target / "kustomization.yaml").write_text(overlay(digests, over, registry))
    shutil.copy(ROOT / "k8s" / "base" / _PATHS, target)
    sys.stdout.write(f"k8s/overlays/pinned-{over} names {len(digests)} images by digest; kubectl apply -k it\n")


if __name__ == "__main__":
    main()
