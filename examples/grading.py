"""A backward pass as homework, for nbgrader and for otter: a wrong equation is graded with its cause.

    python examples/grading.py [--out FOLDER]

It writes `assignment.ipynb` (the question, the cell for the answer, and the graded cell) and `tests/q1.py`, and then
grades three submissions with both: a right one, one with a wrong slope, one without 1/m. Neither grader has to be
installed for that: the notebook's cells are run in order, the value of the last expression of the graded cell is its
points, as in nbgrader; the cases of the test file are doctests in the namespace of the answer, as in otter.
"""

import argparse
import ast
import contextlib
import doctest
import io
import json
import pprint
import tempfile
from pathlib import Path

POINTS = 4

QUESTION = """# Backpropagation

Write `backward(params, X, Y)` for the network 3-4-1 with tanh, sigmoid and the cross-entropy, one example per column.
`params` has W1, b1, W2, b2; return dW1, db1, dW2, db2 of the mean over the examples. Check yourself with

    %load_ext jaxmlp.notebook

and `%%check_backprop 3-4-1 --hidden tanh` as the first line of your cell."""

ANSWER = '''import numpy as np

def backward(params, X, Y):
    """Return the gradient as {"dW1": …, "db1": …, "dW2": …, "db2": …}."""
    ### BEGIN SOLUTION
    m = X.shape[1]
    A1 = np.tanh(params["W1"] @ X + params["b1"])
    A2 = 1 / (1 + np.exp(-(params["W2"] @ A1 + params["b2"])))
    dZ2 = A2 - Y
    dZ1 = params["W2"].T @ dZ2 * (1 - A1**2)
    return {"dW1": dZ1 @ X.T / m, "db1": dZ1.sum(axis=1, keepdims=True) / m,
            "dW2": dZ2 @ A1.T / m, "db2": dZ2.sum(axis=1, keepdims=True) / m}
    ### END SOLUTION
'''

# the last expression is the number of points: one for each of dW2, db2, dW1 and db1. What is printed is the feedback
GRADED = f"""import jaxmlp

report = jaxmlp.verify_numpy(backward, net=jaxmlp.Network((3, 4, 1), "tanh", "sigmoid"))
print(report)
{POINTS} * report.certificate.count("PASS") / len(report.certificate.rows)
"""

# each case starts from the answer alone; where one fails, otter shows what was printed in place of "right"
REPORT = """>>> import jaxmlp
>>> report = jaxmlp.verify_numpy(backward, net=jaxmlp.Network((3, 4, 1), "tanh", "sigmoid"))
>>> failures = [row.where for row in report.certificate.failures]
"""
CASES = {
    f"the gradient of {layer}": f"""{REPORT}>>> print(report.diagnosis if {layer!r} in failures else "right")
right"""
    for layer in ("layer 2", "layer 1")
}

SUBMISSIONS = {
    "right": ANSWER,
    "1 - a for tanh'": ANSWER.replace("(1 - A1**2)", "(1 - A1)"),
    "no 1/m": ANSWER.replace(" / m", ""),
}


# %% the two files
def cell(source, grade_id="", **roles):
    """Return a cell; with `roles` of nbgrader: points, and which of grade, solution and locked it is."""
    body = {"cell_type": "markdown" if source is QUESTION else "code", "id": grade_id or "question", "metadata": {}}
    if body["cell_type"] == "code":
        body |= {"execution_count": None, "outputs": []}
    if roles:
        fields = {"grade": False, "solution": False, "locked": False, "task": False, "schema_version": 3}
        body["metadata"] = {"nbgrader": {**fields, "grade_id": grade_id, **roles}}
    return body | {"source": source.splitlines(keepends=True)}


def assignment(answer=ANSWER):
    """Return the notebook, with the solution or with the answer of a student in it."""
    cells = [
        cell(QUESTION),
        cell(answer, "backward", solution=True),
        cell(GRADED, "backward_test", grade=True, locked=True, points=POINTS),
    ]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}


def otter_test():
    """Return the source of tests/q1.py, in otter's format of doctests."""
    fields = {"points": POINTS / len(CASES), "hidden": False, "locked": False}
    cases = [{"name": name, "code": code, **fields} for name, code in CASES.items()]
    suite = {"cases": cases, "scored": True, "setup": "", "teardown": "", "type": "doctest"}
    test = {"name": "q1", "points": None, "suites": [suite]}
    return f"OK_FORMAT = True\n\ntest = {pprint.pformat(test, width=120, sort_dicts=False)}\n"


# %% the graders
def grade_notebook(notebook):
    """Run the code cells in order; return the points of the graded one and what it printed."""
    names, points, feedback = {}, 0.0, io.StringIO()
    for entry in notebook["cells"]:
        if entry["cell_type"] != "code":
            continue
        tree = ast.parse("".join(entry["source"]))
        last = tree.body[-1]
        if isinstance(last, ast.Expr):
            tree.body.pop()
        with contextlib.redirect_stdout(feedback):
            exec(compile(tree, "cell", "exec"), names)
        if isinstance(last, ast.Expr) and entry["metadata"]["nbgrader"]["grade"]:
            points = eval(compile(ast.Expression(last.value), "cell", "eval"), names)
    return points, feedback.getvalue()


def grade_doctests(source, answer):
    """Run the cases of a test file after the answer; return the points and what the failed cases printed."""
    test, names, feedback, points = {}, {}, [], 0.0
    exec(source, test)
    exec(answer, names)
    for case in test["test"]["suites"][0]["cases"]:
        example = doctest.DocTestParser().get_doctest(case["code"], names, case["name"], None, None)
        result = doctest.DocTestRunner(verbose=False).run(example, out=feedback.append)
        points += case["points"] * (result.failed == 0)
    return points, "".join(feedback)


# %% write the files, and grade three submissions with both
parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--out", metavar="FOLDER", type=Path, help="write the files here [a temporary folder]")
arguments = parser.parse_args()

with tempfile.TemporaryDirectory() as temporary:
    folder = arguments.out or Path(temporary)
    (folder / "tests").mkdir(parents=True, exist_ok=True)
    (folder / "assignment.ipynb").write_text(json.dumps(assignment(), indent=1, ensure_ascii=False), encoding="utf-8")
    (folder / "tests" / "q1.py").write_text(otter_test(), encoding="utf-8")
    source = (folder / "tests" / "q1.py").read_text(encoding="utf-8")

print(f"{'submission':16}  nbgrader  otter  cause")
results = {}
for name, answer in SUBMISSIONS.items():
    points, feedback = grade_notebook(assignment(answer))
    otter_points, otter_feedback = grade_doctests(source, answer)
    cause = next((line.strip() for line in feedback.splitlines() if line.startswith("cause: ")), "")
    assert cause in otter_feedback  # both show it to the student
    results[name] = points, otter_points, cause
    print(f"{name:16}  {points:8g}  {otter_points:5g}  {cause}")

assert results["right"] == (4, 4, "")
assert results["1 - a for tanh'"][:2] == (2, 2)  # layer 2 is right
assert "square missing in tanh'" in results["1 - a for tanh'"][2]
assert results["no 1/m"][:2] == (0, 0)
assert "1/m" in results["no 1/m"][2]
