"""Write a Kubernetes overlay that pins the pushed images by digest.

    python3 stages/pinned.py DIGESTS OVERLAY REGISTRY

Reads one digest from each file DIGESTS/STAGE and writes k8s/overlays/pinned-OVERLAY, which is based on k8s/overlays/OVERLAY.
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
_PATHS = "images.yaml"  # tells kustomize where WorkflowTemplates have images; copied, because kustomize reads only files in the folder


def overlay(digests: dict[str, str], base: str, registry: str) -> str:
    """The text of the overlay's kustomization.yaml.

    Raises:
        ValueError: a value is not a digest.
    """
    for stage, digest in digests.items():
        if not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
            raise ValueError(f"{stage}: {digest!r} is not a digest")
    images = [
        f"  - {{name: lengthen/{stage}, newName: {registry}/lengthen/{stage}, digest: {digests[stage]}}}" for stage in sorted(digests)
    ]
    return (
        "# Written by `make push`: the images that were pushed, by digest.\n"
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"
        f"resources: [../{base}]\nconfigurations: [{_PATHS}]\nimages:\n" + "\n".join(images) + "\n"
    )


def main() -> None:
    folder, base, registry = sys.argv[1:]
    digests = {path.name: path.read_text().strip() for path in sorted(Path(folder).iterdir())}
    target = ROOT / "k8s" / "overlays" / f"pinned-{base}"
    target.mkdir(parents=True, exist_ok=True)
    (target / "kustomization.yaml").write_text(overlay(digests, base, registry))
    shutil.copy(ROOT / "k8s" / "base" / _PATHS, target)
    sys.stdout.write(f"k8s/overlays/pinned-{base} names {len(digests)} images by digest; kubectl apply -k it\n")


if __name__ == "__main__":
    main()
