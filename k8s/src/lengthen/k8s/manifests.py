"""Manifests: render an overlay, and find the templates and pods in them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from lengthen.common.process.errors import UserError

Document = dict[str, Any]


def kubectl() -> str:
    """The path of kubectl: from PATH, else the one that `make setup` installs beside Python.

    Raises:
        UserError: it is not installed.
    """
    if found := shutil.which("kubectl", path=os.pathsep.join([os.environ.get("PATH", ""), str(Path(sys.executable).parent)])):
        return found
    raise UserError("kubectl is not installed, and is needed to render overlays and to copy results; run `make setup`")


def kustomize(overlay: Path) -> list[Document]:
    """What `kubectl apply -k OVERLAY` would send.

    Raises:
        UserError: kubectl is missing, or kustomize rejects the overlay.
    """
    made = subprocess.run([kubectl(), "kustomize", str(overlay)], capture_output=True, text=True, check=False)
    if made.returncode:
        raise UserError(f"{overlay}: {' '.join(made.stderr.split())}")
    return [document for document in yaml.safe_load_all(made.stdout) if document]


def templates_of(documents: list[Document]) -> dict[tuple[str, str], Document]:
    """Every template, by the names of its WorkflowTemplate and of itself."""
    return {
        (document["metadata"]["name"], template["name"]): template
        for document in documents
        if document["kind"] == "WorkflowTemplate"
        for template in document["spec"]["templates"]
    }


@dataclass(frozen=True)
class Pod:
    """A pod in a manifest: its settings, and those of its one container."""

    where: str
    spec: Document
    container: Document
    inputs: Document

    @property
    def image(self) -> str:
        """The image; where it is an input parameter, the parameter's default."""
        defaults = {f"{{{{inputs.parameters.{item['name']}}}}}": item.get("default", "") for item in self.inputs.get("parameters", [])}
        image = self.container.get("image", "")
        return str(defaults.get(image, image))


def pods_of(documents: list[Document]) -> Iterator[Pod]:
    """The pods of container templates, and those of the JobSets that resource templates create."""
    for (name, template_name), template in templates_of(documents).items():
        where, inputs = f"{name}/{template_name}", template.get("inputs", {})
        if "container" in template:
            yield Pod(where, template, template["container"], inputs)
        for job in jobset_of(template).get("spec", {}).get("replicatedJobs", []):
            spec = job["template"]["spec"]["template"]["spec"]
            for container in spec["containers"]:
                yield Pod(f"{where}/{job['name']}", spec, container, inputs)


def jobset_of(template: Document) -> Document:
    """The JobSet that a resource template creates, else {}. A bare `{{…}}`, which YAML reads as a mapping, becomes 1."""
    text = template.get("resource", {}).get("manifest", "")
    return yaml.safe_load(re.sub(r"^(\s*[\w.-]+: )\{\{[^}]*\}\}$", r"\g<1>1", text, flags=re.MULTILINE)) or {}
