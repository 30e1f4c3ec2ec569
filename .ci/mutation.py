"""Mutation testing: change one operator, number or statement at a time and see whether a test fails.

    python .ci/mutation.py --number 150 --seed 1 --json mutation.json

A sample of mutants, drawn with the seed from the files of `AREAS`, is tried one after another in a copy of
the tree. Each runs only the tests that execute the changed line, as one coverage run of all tests within
this process recorded (``--map``, made where it does not exist), and those of the module's own test file.
mutmut 3 was tried: it leaves out module constants, class fields and every decorated function, which here
are the thresholds, the settings and their validators.
"""

import argparse
import ast
import contextlib
import copy
import importlib
import json
import math
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
import traceback
import xml.etree.ElementTree as ElementTree
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "qdsizer_stream"
AREAS = (
    "reduction/*.py",
    "models/**/*.py",
    "sizing/**/*.py",
    "callbacks/documents/*.py",
    "archive/_documents.py",
    "archive/_journal.py",
    "archive/_journal_file.py",
    "archive/_spool.py",
)
"""Files that decide sizes, and those that must not lose a document."""

WITHIN = "not (integration or browser or service)"
"""Tests that start no processes, slow ones included."""
QUICK = "not (slow or integration or browser or service)"
"""Those of the fast loop."""
IMPORTED_ONCE = (
    "bluesky.plans",
    "event_model",
    "h5py",
    "hdf5plugin",
    "numpy",
    "onnxruntime",
    "ophyd.sim",
    "pydantic",
    "scipy.interpolate",
    "scipy.optimize",
    "scipy.special",
    "scipy.stats",
)
"""What every trial would import again: it is imported before the trials fork. None of these starts threads,
and none is a plugin of pytest, which must import those itself."""

MIN_CPU_S = 60
"""Added to five times the expected time: with more processor time a mutant loops, and counts as killed."""
HANGS_S = 1200.0
"""Time after which a mutant hangs, and counts as killed."""
EQUIVALENT = Path(__file__).with_name("equivalent_mutants.toml")
"""Survivors that change nothing a test could see, each with the reason."""

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
NAMES = {"min": "max", "max": "min", "any": "all", "all": "any"}
LOGGING = {"debug", "info"}


@dataclass(frozen=True)
class Mutant:
    """One change of one file.

    Attributes
    ----------
    path
        File, relative to the root.
    line, last_line
        First and last line of the changed expression.
    start, end
        Bytes of the file that are replaced.
    before, after
        Source before and after.
    """

    path: str
    line: int
    last_line: int
    start: int
    end: int
    before: str
    after: str

    @property
    def key(self) -> str:
        """The change without its line number, as the list of equivalent mutants names it."""
        return f"{self.path}: {self.before} -> {self.after}"


def changes(node: ast.AST) -> Iterator[ast.AST]:
    """Changed copies of one node, without what lies below it."""
    changed = copy.copy(node)
    match changed:
        case ast.Compare():
            changed.ops = [COMPARISONS[type(changed.ops[0])](), *changed.ops[1:]]
            yield changed
        case ast.BinOp() | ast.AugAssign() if type(changed.op) in OPERATORS:
            changed.op = OPERATORS[type(changed.op)]()
            yield changed
        case ast.BoolOp():
            changed.op = ast.Or() if isinstance(changed.op, ast.And) else ast.And()
            yield changed
        case ast.UnaryOp() if isinstance(changed.op, ast.Not | ast.USub):
            yield changed.operand
        case ast.Constant(value=bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(value=int(value)):
            yield ast.Constant(value + 1)
        case ast.Constant(value=float(value)):
            yield ast.Constant(2 * value if value else 1.0)
        case ast.IfExp():
            changed.body, changed.orelse = changed.orelse, changed.body
            yield changed
        case ast.Expr(value=ast.Call(func=called)):
            if not (isinstance(called, ast.Attribute) and called.attr in LOGGING):
                yield ast.Pass()
        case ast.Break():
            yield ast.Continue()
        case ast.Continue():
            yield ast.Break()
        case ast.Name() if changed.id in NAMES:
            yield ast.Name(NAMES[changed.id])
        case ast.Call():
            for k, keyword in enumerate(changed.keywords):
                if keyword.arg is not None:
                    without = copy.copy(changed)
                    without.keywords = changed.keywords[:k] + changed.keywords[k + 1 :]
                    yield without


def visited(node: ast.AST) -> Iterator[ast.AST]:
    """Nodes that may be changed: no annotations, decorators, texts or type-checking imports."""
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            below = [*node.args.defaults, *filter(None, node.args.kw_defaults), *node.body]
        case ast.ClassDef():
            below = node.body
        case ast.AnnAssign():
            below = [node.value] if node.value else []
        case ast.If(test=ast.Name(id="TYPE_CHECKING")) | ast.JoinedStr() | ast.Import() | ast.ImportFrom():
            return
        case ast.Assign(targets=[ast.Name(id="__all__")]):
            return
        case _:
            below = list(ast.iter_child_nodes(node))
    yield node
    for child in below:
        yield from visited(child)


def mutants_of(path: Path, root: Path) -> list[Mutant]:
    """All mutants of one file, in the order of the file."""
    source = path.read_bytes()
    lines = [0]
    for text in source.split(b"\n"):
        lines.append(lines[-1] + len(text) + 1)
    tree = ast.parse(source)
    found = []
    conditions = {id(node.test): node.test for node in ast.walk(tree) if isinstance(node, ast.If | ast.While)}
    for node in visited(tree):
        made = [(ast.unparse(changed), node) for changed in changes(node)]
        if isinstance(node, ast.If) and id(node.test) in conditions:
            made.append(("False", node.test))
        for after, replaced in made:
            start = lines[replaced.lineno - 1] + replaced.col_offset
            end = lines[replaced.end_lineno - 1] + replaced.end_col_offset
            before = source[start:end].decode()
            wrapped = f"({after})" if isinstance(replaced, ast.expr) else after
            mutant = Mutant(
                str(path.relative_to(root)), replaced.lineno, replaced.end_lineno, start, end, before, wrapped
            )
            found.append(mutant)
    return found


def compiles(mutant: Mutant) -> bool:
    """Whether the changed file is Python: a number inside a text or a pattern cannot be replaced."""
    source = (ROOT / mutant.path).read_bytes()
    try:
        compile(source[: mutant.start] + mutant.after.encode() + source[mutant.end :], mutant.path, "exec")
    except SyntaxError:
        return False
    return True


def copy_tree(target: Path) -> None:
    """Copy the files that git knows; test data beside the checkout is linked."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split("\0")
    for name in filter(None, listed):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target / name)
    if (ROOT.parent / "shared").is_dir():
        (target.parent / "shared").symlink_to((ROOT.parent / "shared").resolve())


def record_map(tree: Path, file: Path, markers: str) -> None:
    """Run these tests once and write which tests execute which line, and how long each takes."""
    import coverage

    data, times = tree.parent / "coverage", tree.parent / "times.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", markers]
    command += [f"--cov={PACKAGE}", "--cov-context=test", "--cov-report=", f"--junitxml={times}"]
    subprocess.run(command, cwd=tree, env={**os.environ, "COVERAGE_FILE": str(data)}, check=True)
    measured = coverage.CoverageData(str(data))
    measured.read()
    file.write_text(json.dumps(read_map(measured, times)))


def read_map(measured: "coverage.CoverageData", times: Path) -> dict:  # type: ignore[name-defined]  # noqa: F821
    """Tests of each line of each file of the package, and the seconds of each test."""
    lines: dict[str, dict[int, list[str]]] = {}
    for name in measured.measured_files():
        relative = name[name.index(f"{PACKAGE}/") :]
        lines[relative] = {
            line: sorted({test.partition("|")[0] for test in tests} - {""})
            for line, tests in measured.contexts_by_lineno(name).items()
        }
    seconds = {}
    for case in ElementTree.parse(times).iter("testcase"):
        module = case.get("classname", "").replace(".", "/")
        seconds[f"{module}.py::{case.get('name')}"] = float(case.get("time", 0))
    return {"lines": lines, "seconds": seconds}


class Selection:
    """Which tests to run for a mutant."""

    def __init__(self, recorded: dict, max_s: float) -> None:
        self._lines = recorded["lines"]
        self._seconds = recorded["seconds"]
        self._max_s = max_s
        self._left_out: set[str] = set()

    def tests(self, mutant: Mutant) -> list[str]:
        """Tests that execute the changed lines; where only the import does, those that execute the file."""
        lines = self._lines.get(mutant.path, {})
        found = {
            test for line in range(mutant.line, mutant.last_line + 1) for test in lines.get(str(line), ())
        }
        if not found:
            found = {test for tests in lines.values() for test in tests}
        if not found:  # executed in other processes alone
            folder = str(Path("tests", *Path(mutant.path).parts[1:-1]))
            found = {test for test in self._seconds if test.startswith(folder + "/")}
        own = "tests/" + Path(mutant.path).parts[1]
        named = Path(mutant.path).stem.strip("_")  # _absorption.py: test_absorption.py
        # What a test module makes while it is imported counts for none of its tests.
        found |= {test for test in self._seconds if Path(test.partition("::")[0]).stem == f"test_{named}"}
        found -= self._left_out
        ordered = sorted(
            found,
            key=lambda test: (
                named not in test.partition("::")[0],
                not test.startswith(own),
                self._seconds.get(test, 1.0),
                test,
            ),
        )
        total, kept = 0.0, []
        for test in ordered:
            total += self._seconds.get(test, 1.0)
            if total > self._max_s and kept:
                break
            kept.append(test)
        modules = list(dict.fromkeys(test.partition("::")[0] for test in kept))
        return sorted(kept, key=lambda test: modules.index(test.partition("::")[0]))

    def leave_out(self, tests: list[str]) -> None:
        """Select these tests no more."""
        self._left_out.update(tests)

    def seconds(self, tests: list[str]) -> float:
        """Expected time of tests, in seconds."""
        return sum(self._seconds.get(test, 1.0) for test in tests)


class _Failures:
    """Writes down the tests that failed."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def pytest_runtest_logreport(self, report: object) -> None:
        if report.failed:  # type: ignore[attr-defined]
            with self._file.open("a") as file:
                file.write(report.nodeid + "\n")  # type: ignore[attr-defined]

    def pytest_collectreport(self, report: object) -> None:
        self.pytest_runtest_logreport(report)


def run_tests(
    tree: Path, tests: list[str], cpu_s: float, markers: str, *, first: bool = True
) -> tuple[str, list[str]]:
    """Run tests in a fork of this process.

    Returns
    -------
    "passed", "failed", "timed out" or "not tried"; and the tests that failed.
    """
    import pytest

    if not tests:
        return "not tried", []
    note = tree.parent / "failures"
    note.unlink(missing_ok=True)
    child = os.fork()
    if not child:
        code = 3
        try:
            os.setsid()
            resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(cpu_s), math.ceil(cpu_s) + 5))
            os.chdir(tree)
            log = os.open(tree.parent / "log.txt", os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
            os.dup2(log, 1)
            os.dup2(log, 2)
            options = [
                "-q",
                "-p",
                "no:cacheprovider",
                "-p",
                "no:xdist",
                "-m",
                markers,
                *(["-x"] if first else []),
            ]
            code = int(pytest.main([*options, *tests], plugins=[_Failures(note)]))
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    deadline = time.monotonic() + HANGS_S
    status = None
    while status is None and time.monotonic() < deadline:
        done, waited = os.waitpid(child, os.WNOHANG)
        status = waited if done else None
        time.sleep(0.05)
    with contextlib.suppress(ProcessLookupError):  # with every process that a test left behind
        os.killpg(child, signal.SIGKILL)
    if status is None:
        os.waitpid(child, 0)
    if status is None or (os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL)):
        return "timed out", []
    # 5: none of the tests could be collected, so that the mutant was not tried
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) in (0, 5):
        return ("passed" if os.WEXITSTATUS(status) == 0 else "not tried"), []
    return "failed", note.read_text().splitlines() if note.exists() else ["import"]


def sample(number: int, seed: int, only: str) -> list[Mutant]:
    """Draw mutants, at most one for each line; the same for the same tree and seed."""
    files = sorted({file for area in AREAS for file in (ROOT / PACKAGE).glob(area)})
    everything = [mutant for file in files for mutant in mutants_of(file, ROOT) if only in mutant.path]
    random.Random(seed).shuffle(everything)
    drawn: list[Mutant] = []
    seen = set()
    for mutant in everything:
        if len(drawn) < number and (mutant.path, mutant.line) not in seen and compiles(mutant):
            seen.add((mutant.path, mutant.line))
            drawn.append(mutant)
    print(f"{len(everything)} mutants in {len(files)} files, of which {len(drawn)} are tried")
    return drawn


def area_of(path: str) -> str:
    """The package that a file belongs to, two levels deep in `callbacks`."""
    parts = Path(path).parts[1:-1]
    return "/".join(parts[:2]) if parts[0] == "callbacks" else parts[0]


def main() -> int:
    """Try the sample and write what became of each mutant."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("--number", type=int, default=150, help="mutants to try")
    arguments.add_argument("--seed", type=int, default=1, help="seed of the sample")
    arguments.add_argument("--only", default="", help="part of the path of the files to change")
    arguments.add_argument("--seconds", type=float, default=60.0, help="tests per mutant, by their time, s")
    arguments.add_argument("--again", type=Path, help="try the survivors of this result instead")
    arguments.add_argument("--map", type=Path, default=Path("mutation_map.json"), help="recorded coverage")
    arguments.add_argument("--json", type=Path, default=Path("mutation.json"), help="result")
    arguments.add_argument("--quick", action="store_true", help="unmarked tests alone: minutes, not an hour")
    given = arguments.parse_args()
    markers = QUICK if given.quick else WITHIN
    reasons = tomllib.loads(EQUIVALENT.read_text()) if EQUIVALENT.exists() else {}
    with tempfile.TemporaryDirectory(prefix="mutation-") as folder:
        tree = Path(folder) / "tree"
        tree.mkdir()
        copy_tree(tree)
        os.environ |= {"PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        if not given.map.exists():
            record_map(tree, given.map, markers)
        selection = Selection(json.loads(given.map.read_text()), given.seconds)
        subprocess.run([sys.executable, "-m", "compileall", "-q", PACKAGE, "tests"], cwd=tree, check=False)
        sys.dont_write_bytecode = True  # a mutant must never be read from another's bytecode
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
        sys.path[:] = [str(tree), *(entry for entry in sys.path if Path(entry or ".").resolve() != ROOT)]
        for name in IMPORTED_ONCE:
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
        assert PACKAGE not in sys.modules
        drawn = survivors_of(given.again) if given.again else sample(given.number, given.seed, given.only)
        # A test that fails without any change would kill everything.
        chosen = sorted({test for mutant in drawn for test in selection.tests(mutant)})
        outcome, failing = run_tests(tree, chosen, 3600, markers, first=False)
        if failing == ["import"]:
            sys.exit(f"{given.map} names tests that are no longer there: delete it, and it is made again")
        print(f"{len(chosen)} tests without any change: {outcome}; left out: {', '.join(failing) or 'none'}")
        selection.leave_out(failing)
        results = []
        for number, mutant in enumerate(drawn, 1):
            results.append(try_mutant(tree, mutant, selection, reasons, markers))
            shown = results[-1]
            print(
                f"{number:4} {shown['result']:<10} {mutant.path}:{mutant.line} {mutant.before} -> "
                f"{mutant.after}  ({shown['seconds']:.0f} s, {shown['tests']} tests; {shown['killed_by']})",
                flush=True,
            )
            given.json.write_text(json.dumps(summary(given, results), indent=1, ensure_ascii=False) + "\n")
    return 0


def survivors_of(file: Path) -> list[Mutant]:
    """Survivors of an earlier result that the present files still hold, wherever they have moved to."""
    wanted = {
        f"{result['path']}: {result['before']} -> {result['after']}": result["line"]
        for result in json.loads(file.read_text())["mutants"]
        if result["result"] == "survived"
    }
    files = sorted({key.partition(":")[0] for key in wanted})
    found: dict[str, list[Mutant]] = defaultdict(list)
    for name in filter(lambda name: (ROOT / name).exists(), files):
        for mutant in mutants_of(ROOT / name, ROOT):
            if mutant.key in wanted:
                found[mutant.key].append(mutant)
    return [min(found[key], key=lambda m: abs(m.line - line)) for key, line in wanted.items() if found[key]]


def try_mutant(
    tree: Path, mutant: Mutant, selection: Selection, reasons: dict[str, str], markers: str
) -> dict:
    """Change the file, run its tests, and change it back."""
    file = tree / mutant.path
    source, times = file.read_bytes(), file.stat()
    tests = selection.tests(mutant)
    began = time.monotonic()
    file.write_bytes(source[: mutant.start] + mutant.after.encode() + source[mutant.end :])
    try:
        outcome, killers = run_tests(tree, tests, MIN_CPU_S + 5 * selection.seconds(tests), markers)
    finally:
        file.write_bytes(source)
        os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    result = {"passed": "survived", "failed": "killed", "timed out": "killed"}.get(outcome, outcome)
    if result == "survived" and mutant.key in reasons:
        result = "equivalent"
    return {
        **asdict(mutant),
        "result": result,
        "killed_by": killers[0] if killers else "timeout" if outcome == "timed out" else "",
        "reason": reasons.get(mutant.key, ""),
        "tests": len(tests),
        "seconds": round(time.monotonic() - began, 1),
    }


def summary(given: argparse.Namespace, results: list[dict]) -> dict:
    """Counts by area, and every mutant."""
    areas = sorted({area_of(result["path"]) for result in results})
    return {
        "seed": given.seed,
        "counts": dict(Counter(result["result"] for result in results)),
        "areas": {
            area: dict(Counter(r["result"] for r in results if area_of(r["path"]) == area)) for area in areas
        },
        "mutants": results,
    }


if __name__ == "__main__":
    sys.exit(main())
