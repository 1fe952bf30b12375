"""The walker follows Argo's documentation of depends, when, withSequence, retries and recursion."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from argo_expressions import evaluate
from argo_walker import Call, End, Walk

Document = dict[str, Any]


def workflow(*templates: Document, **spec: Any) -> Document:
    return {"kind": "Workflow", "metadata": {"name": "w"}, "spec": {"entrypoint": "main", "templates": list(templates), **spec}}


def dag(name: str, *tasks: Document, **more: Any) -> Document:
    return {"name": name, "dag": {"tasks": list(tasks), **more.pop("dag", {})}, **more}


def pod(name: str, **more: Any) -> Document:
    return {"name": name, "container": {"args": ["{{inputs.parameters.word}}"] if "inputs" in more else []}, **more}


def walk(document: Document, ends: Callable[[Call], End] = lambda call: End.of(0)) -> tuple[str, Walk, list[Call]]:
    calls: list[Call] = []

    def run(call: Call) -> End:
        calls.append(call)
        return ends(call)

    walker = Walk([], run)
    return walker.run(document), walker, calls


def failing(*names: str) -> Callable[[Call], End]:
    return lambda call: End.of(1 if call.template["name"] in names else 0)


def test_a_diamond_runs_every_task_after_those_it_needs() -> None:
    tasks = [{"name": n, "template": n} for n in "ABCD"]
    tasks[1]["dependencies"] = tasks[2]["dependencies"] = ["A"]
    tasks[3]["dependencies"] = ["B", "C"]
    phase, _, calls = walk(workflow(dag("main", *tasks), *(pod(n) for n in "ABCD")))
    order = [call.template["name"] for call in calls]
    assert phase == "Succeeded" and order[0] == "A" and order[-1] == "D" and len(order) == 4


@pytest.mark.parametrize(
    ("text", "failed", "begins"),
    [
        ("A", "", True),
        ("A", "A", False),
        ("A.Succeeded", "A", False),
        ("A.Failed", "A", True),
        ("A || A.Failed", "A", True),
        ("A && B", "B", False),
        ("(A.Succeeded || A.Failed) && B.Succeeded", "A", True),
        ("A && (B.Failed || B.Errored)", "B", True),
        ("!A.Failed", "A", False),
    ],
)
def test_depends_is_logic_over_the_phases_of_tasks(text: str, failed: str, begins: bool) -> None:
    tasks = [{"name": "A", "template": "A"}, {"name": "B", "template": "B"}, {"name": "C", "template": "C", "depends": text}]
    _, walker, calls = walk(workflow(dag("main", *tasks, dag={"failFast": False}), pod("A"), pod("B"), pod("C")), failing(*failed))
    assert ("C" in [call.template["name"] for call in calls]) is begins
    assert walker.phases["C"] == ("Succeeded" if begins else "Omitted")


def test_a_dag_has_the_phase_of_its_last_tasks() -> None:
    """A DAG succeeds if a last task handles the failure, and fails if the last task was omitted because of it."""
    first = {"name": "A", "template": "A"}
    handled = workflow(dag("main", first, {"name": "B", "template": "B", "depends": "A.Failed"}), pod("A"), pod("B"))
    assert walk(handled, failing("A"))[0] == "Succeeded"
    left_out = workflow(dag("main", first, {"name": "B", "template": "B", "depends": "A"}), pod("A"), pod("B"))
    assert walk(left_out, failing("A"))[0] == "Failed"


def test_a_skipped_task_counts_as_done_for_the_tasks_that_depend_on_it() -> None:
    tasks = [{"name": "A", "template": "A", "when": "1 > 2"}, {"name": "B", "template": "B", "depends": "A"}]
    phase, walker, calls = walk(workflow(dag("main", *tasks), pod("A"), pod("B")))
    assert (phase, walker.phases["A"]) == ("Succeeded", "Skipped")
    assert [call.template["name"] for call in calls] == ["B"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{workflow.parameters.flip}} == heads", True),
        ("{{workflow.parameters.flip}} == tails", False),
        ("{{workflow.parameters.number}} >= 3", True),
        ("{{workflow.parameters.number}} < 3 || {{workflow.parameters.flip}} == heads", True),
        ("( {{workflow.parameters.number}} > 1 ) && ( {{workflow.parameters.flip}} != heads )", False),
        ("'{{workflow.parameters.none}}' != ''", False),
        ("{{=workflow.parameters.flip == 'heads'}}", True),
        ("{{=asInt(workflow.parameters.number) < 3}}", False),
    ],
)
def test_when_compares_words_numbers_and_expressions(text: str, value: bool) -> None:
    given = [{"name": "flip", "value": "heads"}, {"name": "number", "value": "3"}, {"name": "none", "value": ""}]
    tasks = [{"name": "A", "template": "A", "when": text}]
    calls = walk(workflow(dag("main", *tasks), pod("A"), arguments={"parameters": given}))[2]
    assert bool(calls) is value


@pytest.mark.parametrize(
    ("sequence", "items"),
    [
        ({"count": "3"}, ["0", "1", "2"]),
        ({"count": "0"}, []),
        ({"start": "4", "end": "6"}, ["4", "5", "6"]),
        ({"start": "2", "count": "2"}, ["2", "3"]),
        ({"start": "3", "end": "1"}, ["3", "2", "1"]),
    ],
)
def test_a_sequence_gives_its_numbers_as_items(sequence: dict[str, str], items: list[str]) -> None:
    arguments = {"parameters": [{"name": "word", "value": "{{item}}"}]}
    task = {"name": "A", "template": "A", "withSequence": sequence, "arguments": arguments}
    calls = walk(workflow(dag("main", task), pod("A", inputs={"parameters": [{"name": "word"}]})))[2]
    assert [call.template["container"]["args"] for call in calls] == [[item] for item in items]


@pytest.mark.parametrize(("text", "begins"), [("A.AnySucceeded", True), ("A.AllFailed", False), ("A", False), ("A.Failed", True)])
def test_a_loop_has_the_results_of_a_group(text: str, begins: bool) -> None:
    loop = {"name": "A", "template": "A", "withItems": ["x", "y"], "arguments": {"parameters": [{"name": "word", "value": "{{item}}"}]}}
    tasks = [loop, {"name": "B", "template": "B", "depends": text}]
    document = workflow(dag("main", *tasks), pod("A", inputs={"parameters": [{"name": "word"}]}), pod("B"))
    calls = walk(document, lambda call: End.of(1 if call.inputs.get("word") == "x" else 0))[2]
    assert ("B" in [call.template["name"] for call in calls]) is begins


TRIES: list[tuple[Document, list[End], int, str]] = [
    ({"limit": "2"}, [End.of(1)] * 9, 3, "Failed"),  # the limit doesn't count the first try
    ({"limit": "10"}, [End.of(1), End.of(1), End.of(0)], 3, "Succeeded"),
    ({"limit": "5"}, [End("Error")], 1, "Error"),  # OnFailure is the default policy
    ({"limit": "5", "retryPolicy": "OnError"}, [End("Error"), End.of(1)], 2, "Failed"),  # decided again after each try
    ({"limit": "5", "retryPolicy": "Always"}, [End("Error"), End.of(1), End.of(0)], 3, "Succeeded"),
    ({"limit": "5", "expression": "asInt(lastRetry.exitCode) > 1"}, [End.of(2), End.of(1)], 2, "Failed"),
    ({"limit": "5", "expression": "lastRetry.status == 'Error'"}, [End("Error"), End.of(0)], 2, "Succeeded"),  # then Always is the default
    ({"limit": "5", "expression": 'lastRetry.status != "Error" && asInt(lastRetry.exitCode) > 1'}, [End("Error")], 1, "Error"),
    ({"limit": "5", "expression": "asInt(lastRetry.exitCode) in [-1, 75]"}, [End("Error"), End.of(75), End.of(2)], 3, "Failed"),
    ({}, [End.of(1)] * 20 + [End.of(0)], 21, "Succeeded"),  # without a limit
]


@pytest.mark.parametrize(("strategy", "ends", "tries", "phase"), TRIES)
def test_retries_depend_on_limit_policy_and_expression(strategy: Document, ends: list[End], tries: int, phase: str) -> None:
    document = workflow({**pod("main"), "retryStrategy": strategy})
    found, _, calls = walk(document, lambda call: ends[call.attempt])
    assert (len(calls), found) == (tries, phase)


def test_retries_is_known_only_to_a_template_with_a_retry_strategy() -> None:
    template = {"name": "main", "container": {"args": ["{{retries}}"]}}
    calls = walk(workflow({**template, "retryStrategy": {"limit": "1"}}), lambda call: End.of(1 - call.attempt))[2]
    assert [call.template["container"]["args"] for call in calls] == [["0"], ["1"]]
    with pytest.raises(KeyError):
        walk(workflow(template))


def recursive(limit: int) -> Document:
    again = {"name": "again", "template": "main", "depends": "flip", "when": f"{{{{inputs.parameters.n}}}} < {limit}"}
    again["arguments"] = {"parameters": [{"name": "n", "value": "{{=asInt(inputs.parameters.n) + 1}}"}]}
    main = dag("main", {"name": "flip", "template": "flip"}, again, inputs={"parameters": [{"name": "n", "value": "1"}]})
    return workflow(main, pod("flip"))


def test_a_template_that_calls_itself_ends_when_its_condition_does() -> None:
    phase, walker, calls = walk(recursive(4))
    assert (phase, len(calls)) == ("Succeeded", 4)
    assert walker.phases["again.again.again.again"] == "Skipped"


def test_recursion_has_a_limit() -> None:
    with pytest.raises(RecursionError):
        walk(recursive(1000))


def test_a_reference_resolves_in_the_other_workflow_template() -> None:
    other = {"kind": "WorkflowTemplate", "metadata": {"name": "other"}, "spec": {"templates": [
        dag("out", {"name": "in", "template": "same"}), {"name": "same", "container": {"args": ["other's"]}}]}}  # fmt: skip
    task = {"name": "A", "templateRef": {"name": "other", "template": "out"}}
    calls: list[Call] = []
    Walk([other], lambda call: calls.append(call) or End.of(0)).run(workflow(dag("main", task), pod("same")))
    assert calls[0].template["container"]["args"] == ["other's"]


def test_the_exit_handler_runs_after_a_failure_too() -> None:
    phase, _, calls = walk(workflow(pod("main"), pod("clean-up"), onExit="clean-up"), failing("main"))
    assert (phase, [call.template["name"] for call in calls]) == ("Failed", ["main", "clean-up"])


def test_after_a_failure_no_further_task_starts() -> None:
    """failFast, the default: a failed last task ends the DAG once the running pods have ended."""
    tasks = [{"name": f"T{n}", "template": "bad"} for n in range(20)]
    assert len(walk(workflow(dag("main", *tasks), pod("bad")), failing("bad"))[2]) == 1
    assert len(walk(workflow(dag("main", *tasks, dag={"failFast": False}), pod("bad")), failing("bad"))[2]) == 20


def test_a_reference_that_does_not_resolve_is_refused() -> None:
    with pytest.raises(KeyError):
        walk(workflow({"name": "main", "container": {"args": ["{{inputs.parameters.nothing}}"]}}))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("asInt('4') + 1", 5),
        ("-1 in [-1, 75]", True),
        ("a['b-c'] == 'x' && !false", True),
        ("asInt(a['n']) < 9 ? '0' : ''", "0"),
        ("'pod deleted' matches 'imminent node shutdown|pod deleted'", True),
        ("not (1 == 1) or 2 >= 2", True),
    ],
)
def test_expressions(text: str, value: Any) -> None:
    known = {"a.b-c": "x", "a.n": "3", "false": False}
    assert evaluate(text, known.__getitem__) == value


@pytest.mark.parametrize("text", ["1 +", "(1", "1 2", "a ; b", "[1", "? 1"])
def test_an_invalid_expression_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not expected|is missing|is not an expression"):
        evaluate(text, lambda name: name)
