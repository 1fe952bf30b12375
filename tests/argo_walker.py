"""A model of Argo's controller that runs one pod at a time: parameters, DAGs, `when`, loops, retries, recursion, exit handlers.

It follows Argo's documentation and is tested with the examples there (test_k8s_walker.py), independently of our manifests.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from argo_expressions import PHASES, depends, evaluate, tasks_in, when

Document = dict[str, Any]
MAX_DEPTH = 100
_PLACEHOLDER = re.compile(r"\{\{(=?)(.+?)\}\}", re.DOTALL)
_FAILED = ("Failed", "Error")


@dataclass(frozen=True)
class Call:
    """A pod to run: its template with every parameter substituted."""

    template: Document
    inputs: dict[str, str]
    attempt: int

    @property
    def stage(self) -> str:
        return str(self.template.get("metadata", {}).get("labels", {}).get("lengthen.dev/stage", self.template["name"]))


@dataclass(frozen=True)
class End:
    """How a pod ended: Succeeded; Failed, with the exit code of its container; or Error, for a deleted pod, which has no code."""

    phase: str
    code: int | None = None

    @staticmethod
    def of(code: int) -> End:
        return End("Failed" if code else "Succeeded", code)


@dataclass
class Walk:
    """Runs a Workflow. `rng` chooses the next task among those that may start."""

    documents: list[Document]
    run_pod: Callable[[Call], End]
    rng: random.Random = field(default_factory=lambda: random.Random(0))
    phases: dict[str, str] = field(default_factory=dict)  # of every task, by its path, such as run.iterations.generate
    values: dict[str, str] = field(default_factory=dict)

    def run(self, workflow: Document) -> str:
        """The Workflow's phase at its end."""
        spec = workflow["spec"]
        if reference := spec.get("workflowTemplateRef"):
            template_spec = self._document(reference["name"])["spec"]
            given = {
                item["name"]: item
                for item in (*template_spec.get("arguments", {}).get("parameters", []), *_parameters(spec.get("arguments")))
            }
            spec = {**template_spec, **spec, "arguments": {"parameters": list(given.values())}}
            home = reference["name"]
        else:
            self.documents = [*self.documents, workflow]
            home = workflow["metadata"]["name"]
        self.values = {f"workflow.parameters.{item['name']}": str(item["value"]) for item in _parameters(spec.get("arguments"))}
        self.values["workflow.name"] = workflow["metadata"]["name"]
        phase = self.template(home, spec["entrypoint"], {}, "", 0)
        if "onExit" in spec:
            ended = self.template(home, spec["onExit"], {}, "onExit", 0)
            phase = ended if ended in _FAILED and phase == "Succeeded" else phase
        return phase

    def template(self, home: str, name: str, arguments: dict[str, str], path: str, depth: int) -> str:
        """Run a template with its retries."""
        if depth > MAX_DEPTH:
            raise RecursionError("Argo allows at most 100 levels")
        template = next(item for item in self._document(home)["spec"]["templates"] if item["name"] == name)
        inputs = {
            item["name"]: str(arguments.get(item["name"], item.get("value", item.get("default"))))
            for item in _parameters(template.get("inputs"))
        }
        strategy, attempt = template.get("retryStrategy"), 0
        while True:
            known = self.values | {f"inputs.parameters.{key}": value for key, value in inputs.items()}
            known |= {"retries": str(attempt)} if strategy is not None else {}
            end = self._once(home, template, inputs, known, attempt, path, depth)
            if end.phase not in _FAILED or strategy is None or not _is_retried(strategy, end, attempt, known):
                return end.phase
            attempt += 1

    def _once(
        self, home: str, template: Document, inputs: dict[str, str], known: dict[str, str], attempt: int, path: str, depth: int
    ) -> End:
        if "dag" in template:
            return End(self._dag(home, template, known, path, depth))
        own = {key: value for key, value in template.items() if key != "inputs"}
        return self.run_pod(Call(substitute(own, known), inputs, attempt))

    def _dag(self, home: str, template: Document, known: dict[str, str], path: str, depth: int) -> str:
        tasks = {task["name"]: task for task in template["dag"]["tasks"]}
        needs = {name: tasks_in(task.get("depends", "")) or set(task.get("dependencies", [])) for name, task in tasks.items()}
        leaves = tasks.keys() - set().union(*needs.values())
        results: dict[str, set[str]] = {}  # of finished tasks
        while ready := [name for name in tasks if name not in results and needs[name] <= results.keys()]:
            if template["dag"].get("failFast", True) and any(_branch(leaf, results, needs) in _FAILED for leaf in leaves):
                break
            name = self.rng.choice(ready)
            text = tasks[name].get("depends") or " && ".join(tasks[name].get("dependencies", []))
            if text and not depends(text, results.__getitem__):
                results[name] = {"Omitted"}
            else:
                results[name] = self._task(home, tasks[name], known, f"{path}.{name}".strip("."), depth)
            self.phases[f"{path}.{name}".strip(".")] = next(phase for phase in PHASES if phase in results[name])
        ends = {_branch(leaf, results, needs) for leaf in leaves}
        return next((phase for phase in ("Error", "Failed") if phase in ends), "Succeeded")

    def _task(self, home: str, task: Document, known: dict[str, str], path: str, depth: int) -> set[str]:
        items = _items(task, known)
        phases = []
        for item in [None] if items is None else items:
            here = known if item is None else known | {"item": item}
            if "when" in task and not when(substitute(task["when"], here)):
                phases.append("Skipped")
                continue
            given = {entry["name"]: substitute(str(entry["value"]), here) for entry in _parameters(task.get("arguments"))}
            reference = task.get("templateRef")
            where, name = (reference["name"], reference["template"]) if reference else (home, task["template"])
            phases.append(self.template(where, name, given, path if item is None else f"{path}({item})", depth + 1))
        return _results(phases)

    def _document(self, name: str) -> Document:
        return next(d for d in self.documents if d["metadata"]["name"] == name and d["kind"] in ("WorkflowTemplate", "Workflow"))


def substitute(value: Any, known: dict[str, str]) -> Any:
    """Replace every `{{…}}` in the strings of `value`.

    Raises:
        KeyError: a placeholder does not resolve. Argo refuses it too.
    """
    if isinstance(value, dict):
        return {key: substitute(inner, known) for key, inner in value.items()}
    if isinstance(value, list):
        return [substitute(inner, known) for inner in value]
    if not isinstance(value, str):
        return value

    def put(match: re.Match[str]) -> str:
        if match[1]:
            found = evaluate(match[2], known.__getitem__)
            return str(found).lower() if isinstance(found, bool) else str(found)
        return known[match[2].strip()]

    return _PLACEHOLDER.sub(put, value)


def _is_retried(strategy: Document, end: End, attempt: int, known: dict[str, str]) -> bool:
    """Whether a failed template is retried: limit, policy and expression must all allow it."""
    expression = strategy.get("expression")
    policy = strategy.get("retryPolicy", "Always" if expression else "OnFailure")
    if "limit" in strategy and attempt >= int(strategy["limit"]):
        return False
    if end.phase not in {"Always": _FAILED, "OnFailure": ("Failed",), "OnError": ("Error",)}[policy]:
        return False
    code = "-1" if end.code is None else str(end.code)
    last = {"lastRetry.exitCode": code, "lastRetry.status": end.phase, "lastRetry.message": "", "lastRetry.duration": "0"}
    return not expression or bool(evaluate(substitute(expression, known), (known | last).__getitem__))


def _items(task: Document, known: dict[str, str]) -> list[str] | None:
    if "withItems" in task:
        return [str(item) for item in task["withItems"]]
    if "withSequence" not in task:
        return None
    sequence = {key: substitute(str(value), known) for key, value in task["withSequence"].items()}
    start = int(sequence.get("start", "0"))
    end = int(sequence["end"]) if "end" in sequence else start + int(sequence["count"]) - 1
    if "count" in sequence and int(sequence["count"]) == 0:
        return []
    return [str(number) for number in range(start, end + 1)] if start <= end else [str(number) for number in range(start, end - 1, -1)]


def _results(phases: list[str]) -> set[str]:
    """The results of a task, or of the group of tasks of a loop."""
    if not phases or set(phases) == {"Skipped"}:
        return {"Skipped"}
    phase = next((found for found in _FAILED if found in phases), "Succeeded")
    found = {"Errored" if phase == "Error" else phase}
    found |= {"AnySucceeded"} if "Succeeded" in phases else set()
    return found | ({"AllFailed"} if set(phases) <= set(_FAILED) else set())


def _branch(task: str, results: dict[str, set[str]], needs: dict[str, set[str]]) -> str:
    """A task's phase. An omitted task counts as failed if a task that it depends on failed."""
    found = results.get(task, {"Pending"})
    if "Omitted" in found:
        return next((phase for phase in (_branch(before, results, needs) for before in sorted(needs[task])) if phase in _FAILED), "Omitted")
    return "Failed" if "Failed" in found else "Error" if "Errored" in found else "Succeeded"


def _parameters(parent: Document | None) -> list[Document]:
    return (parent or {}).get("parameters", [])
