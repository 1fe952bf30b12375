"""Checks of names, iterations, addresses and image references, before anything is sent."""

from __future__ import annotations

import re

from lengthen.common.process.errors import UserError

# A run's name becomes a part of other names. The longest is that of a training pod in a JobSet:
# RUN-nNN-DIGEST8 (a Workflow), -NN-generator (a JobSet), -m-0-NN-xxxxx (its pod): 24 + 13 + 13 + 13 = 63 characters.
MAX_RUN = 24
MAX_ITERATION = 99  # folders have two digits, and Argo's recursion ends at a hundred levels

_RUN = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")
_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_STORE = re.compile(r"(/|[a-z][a-z0-9]*://)[A-Za-z0-9][A-Za-z0-9._/-]*")
_MODEL = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*@[A-Za-z0-9][\w./-]*", re.ASCII)
_FOLDER = re.compile(r"models/[A-Za-z0-9][A-Za-z0-9._-]*")
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
# Only a name with a dot or a port is a host; anything else is the first part of the path.
_HOST = rf"(?:(?:localhost|{_LABEL}(?:\.{_LABEL})+|{_LABEL}(?=:[0-9]))(?::[0-9]{{1,5}})?/)?"
_PATH = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_TAG = r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?"
_IMAGE = re.compile(rf"{_HOST}{_PATH}(?:/{_PATH})*{_TAG}(?:@(?P<digest>sha256:[0-9a-f]{{64}}))?")


def check_run(name: str) -> str:
    """Raises: UserError: not valid in Kubernetes names, or too long for them."""
    if not _RUN.fullmatch(name) or "--" in name:
        raise UserError(f"run {name!r}: use lowercase letters, digits and single hyphens, beginning with a letter; set RUN=runs/NAME")
    if len(name) > MAX_RUN:
        raise UserError(f"run {name!r} has {len(name)} characters; use at most {MAX_RUN}, so that the names of its pods fit")
    return name


def check_iteration(number: int) -> int:
    if not 1 <= number <= MAX_ITERATION:
        raise UserError(f"iteration {number}: must be from 1 to {MAX_ITERATION}")
    return number


def check_namespace(name: str) -> str:
    if not _NAMESPACE.fullmatch(name):
        raise UserError(f"namespace {name!r} is not a valid name for Kubernetes; use lowercase letters, digits and hyphens")
    return name


def check_store(store: str) -> str:
    """Where runs are stored: a folder of the pods' volume, or a bucket with a prefix."""
    if not _STORE.fullmatch(store) or ".." in store or "//" in store.partition("://")[2] + store.rpartition("://")[2]:
        raise UserError(f"store {store!r}: give a folder such as /runs or a URL such as s3://bucket/runs, of plain characters")
    return store.rstrip("/")


def check_model_source(source: str) -> str:
    """The base model's repository on the hub, with a revision: without one, its content could change during a run."""
    if source and (not _MODEL.fullmatch(source) or ".." in source):
        raise UserError(f"model source {source!r}: give OWNER/NAME@REVISION of a repository on the model hub")
    return source


def check_model_folder(folder: str) -> str:
    """Raises: UserError: the config's model.path is not a folder of the pods' model volume."""
    if not _FOLDER.fullmatch(folder):
        raise UserError(f"model.path: {folder!r} must be models/NAME on a cluster, for folder NAME of the model volume")
    return folder


def check_image(reference: str) -> str:
    """An image reference with a tag or digest, as registries define it; the image of `latest` could change during a run."""
    match = _IMAGE.fullmatch(reference)
    if not match:
        raise UserError(f"image {reference!r} is not a valid image reference; set it under `images:` in the overlay's kustomization.yaml")
    if match["digest"] is None and match["tag"] in (None, "latest"):
        raise UserError(
            f"image {reference!r} has no fixed version; give a tag or digest under `images:` in the overlay's kustomization.yaml"
        )
    return reference
