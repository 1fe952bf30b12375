"""Manifests as the overlays make them, and where containers stand in them."""

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
from lengthen.common.errors import UserError

Document = dict[str, Any]
PLACEHOLDER = re.compile(r"\{\{(.+?)\}\}", re.DOTALL)


def kubectl() -> str:
    """The user's own, else the one that `make setup` puts beside Python.

    Raises:
        UserError: there is none.
    """
    if found := shutil.which("kubectl", path=os.pathsep.join([os.environ.get("PATH", ""), str(Path(sys.executable).parent)])):
        return found
    raise UserError("kubectl is not installed; it renders overlays and copies results")


def kustomize(overlay: Path) -> list[Document]:
    """What `kubectl apply -k OVERLAY` would send.

    Raises:
        UserError: kubectl is missing, or kustomize refuses the overlay.
    """
    made = subprocess.run([kubectl(), "kustomize", str(overlay)], capture_output=True, text=True, check=False)
    if made.returncode:
        raise UserError(f"{overlay}: {' '.join(made.stderr.split())}")
    return [document for document in yaml.safe_load_all(made.stdout) if document]


def templates_of(documents: list[Document]) -> dict[tuple[str, str], Document]:
    """Every template, by the WorkflowTemplate's name and its own."""
    return {
        (document["metadata"]["name"], template["name"]): template
        for document in documents
        if document["kind"] == "WorkflowTemplate"
        for template in document["spec"]["templates"]
    }


@dataclass(frozen=True)
class Pod:
    """A pod that will run: its own settings, and its one container's."""

    where: str
    spec: Document
    container: Document
    inputs: Document

    @property
    def image(self) -> str:
        """With the default of an input in its place, where the image is one."""
        defaults = {f"{{{{inputs.parameters.{item['name']}}}}}": item.get("default", "") for item in self.inputs.get("parameters", [])}
        image = self.container.get("image", "")
        return str(defaults.get(image, image))


def pods_of(documents: list[Document]) -> Iterator[Pod]:
    """The pods of container templates, and those of JobSets in the text of resource templates."""
    for (name, template_name), template in templates_of(documents).items():
        where, inputs = f"{name}/{template_name}", template.get("inputs", {})
        if "container" in template:
            yield Pod(where, template, template["container"], inputs)
        for job in _jobset(template).get("spec", {}).get("replicatedJobs", []):
            spec = job["template"]["spec"]["template"]["spec"]
            for container in spec["containers"]:
                yield Pod(f"{where}/{job['name']}", spec, container, inputs)


def jobsets_of(document: Document) -> Iterator[Document]:
    """The JobSets that a WorkflowTemplate creates."""
    for template in document["spec"].get("templates", []):
        if jobset := _jobset(template):
            yield jobset


def _jobset(template: Document) -> Document:
    """The manifest in a resource template. A bare `{{…}}` stands for a number; to YAML it would be a mapping."""
    text = template.get("resource", {}).get("manifest", "")
    return yaml.safe_load(re.sub(r"^(\s*[\w.-]+: )\{\{[^}]*\}\}$", r"\g<1>1", text, flags=re.MULTILINE)) or {}


def strings_of(value: Any) -> Iterator[str]:
    """Every string inside, keys aside."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from strings_of(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings_of(inner)
