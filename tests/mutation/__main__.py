"""Mutation testing of the handler: every small change of it must make a test fail, or be explained.

`python -m tests.mutation [MODULE ...]` runs the handler's own tests once, notes which lines each of them reaches, and
then lets every mutant meet the tests that reach it, the quickest first, in a fork of the process that has everything
imported: nothing on disk is changed, and a mutant takes a fraction of a second. What survives the first seconds of them
and is not explained meets all of them. A change inside a function replaces its code, one of a constant its value
wherever it was imported; for any other the modules are imported again, and the tests of the module alone are run.

Exit status 1 when a mutant survives that explained.txt does not explain, or when less than 95 % are killed.
"""

from __future__ import annotations

import argparse
import dis
import gc
import importlib.abc
import importlib.util
import json
import math
import os
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, NamedTuple, NoReturn

import coverage
import hypothesis
import pytest

from tests.mutation.mutants import Mutant, mutants_of

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

ROOT = Path(__file__).parents[2]
PACKAGE = "cdk_personalize_export.handler"
HANDLER = ROOT / "cdk_personalize_export" / "handler"
TESTS = "tests/unit/handler"
EXPLAINED = Path(__file__).with_name("explained.txt")
OUTCOME = ROOT / ".cache" / "mutation.json"
LEAST_PERCENT = 95
PROCESSES = 2
SLOWEST_TEST_SECONDS = 2.5  # slower ones are kept for what survives the others
LONGEST_CPU_SECONDS = 20.0  # of one test: a mutant that loops for ever is stopped
MOST_TEST_SECONDS = 15.0  # a mutant meets the most telling tests first, up to these seconds of them
EXAMPLES = 25  # of a property
LONGEST_WALL_SECONDS = 600.0  # of all: one that waits for ever, too
SURVIVED, KILLED, CRASHED = 0, 1, 70
ALREADY_IMPORTED = "ignore::pytest.PytestAssertRewriteWarning"  # on purpose: a fork starts with the imports done
QUIET = ["-s", "-x", "-o", "addopts=--import-mode=importlib", "-p", "no:terminal", "-p", "no:cacheprovider"]
QUIET += ["-p", "no:cov", "-p", "no:xdist", "-W", ALREADY_IMPORTED]
Key = tuple[str, str, str, str]
Line = tuple[str, int]  # a module of the handler, and a line of it


def key_of(mutant: Mutant) -> Key:
    """What a mutant is known by."""
    return mutant.module, mutant.where, mutant.before, mutant.after


class Reach(NamedTuple):
    """A test, what it took, and the lines of the handler it reaches."""

    item: pytest.Item
    seconds: float
    lines: frozenset[Line]


class Running(NamedTuple):
    """A process in which a mutant meets the tests."""

    process: int
    mutant: Mutant
    killer: int  # where the process writes the test that failed
    limit: float

    def last_test(self) -> str:
        """Read the test that failed; nothing when the process was ended."""
        with open(self.killer, "rb") as pipe:  # noqa: PTH123 - it is no path
            return pipe.read().decode()


class Hunt:
    """A pytest plugin: runs the tests once, then the mutants against them."""

    def __init__(self, mutants: Sequence[Mutant], explained: Container[Key]) -> None:
        self.verdicts: list[tuple[Mutant, bool]] = []
        self.problem = "no test was run"
        self._mutants, self._explained = mutants, explained
        self._failed = False
        self._kills: Counter[tuple[str, str]] = Counter()  # by place and test: who killed a mutant kills its neighbours

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._failed = self._failed or report.failed

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self.problem = ""
        reaches = self._run_all(session.items)
        if not self.problem:
            gc.freeze()  # leaves memory shared with the forks
            quick = [reach for reach in reaches if reach.seconds <= SLOWEST_TEST_SECONDS]
            self._run_mutants(self._mutants, quick, MOST_TEST_SECONDS)
        if not self.problem:
            doubtful = [one for one, dead in self.verdicts if not dead and key_of(one) not in self._explained]
            self.verdicts = [(one, dead) for one, dead in self.verdicts if one not in doubtful]
            self._run_mutants(doubtful, reaches, math.inf)
        return True

    def _run_all(self, items: Sequence[pytest.Item]) -> list[Reach]:
        """Runs every test as it is."""
        recorder = coverage.Coverage(data_file=None, source=[str(HANDLER)], config_file=False)
        seconds = []
        for number, item in enumerate(items):
            recorder.start()
            recorder.switch_context(str(number))
            began = time.process_time()
            self._run_one(item)
            seconds.append(time.process_time() - began)
            recorder.stop()
            if self._failed:
                self.problem = f"{item.nodeid} fails without any mutant"
                return []
        data = recorder.get_data()  # after the last test, or what it reached would be missing
        lines: dict[int, set[Line]] = {number: set() for number in range(len(items))}
        for file in data.measured_files():
            for line, contexts in data.contexts_by_lineno(file).items():
                for context in filter(None, contexts):
                    lines[int(context)].add((Path(file).stem, line))
        return [Reach(item, seconds[n], frozenset(lines[n])) for n, item in enumerate(items)]

    def _run_one(self, item: pytest.Item) -> None:
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)

    def _run_mutants(self, mutants: Sequence[Mutant], reaches: Sequence[Reach], most_seconds: float) -> None:
        running: dict[int, Running] = {}
        waiting = iter(mutants)
        while True:
            for mutant in waiting:
                child = self._fork(mutant, reaches, most_seconds)
                running[child.process] = child
                if len(running) == PROCESSES:
                    break
            if not running:
                return
            for process, status in _ended(running):
                ended = running.pop(process)
                if status == CRASHED:
                    self.problem = f"the tests could not be run on {key_of(ended.mutant)}"
                    return
                self._kills[ended.mutant.where, ended.last_test()] += status != SURVIVED
                self._note(ended.mutant, killed=status != SURVIVED)

    def _note(self, mutant: Mutant, *, killed: bool) -> None:
        self.verdicts.append((mutant, killed))
        if not killed:
            print(describe([key_of(mutant)]) + "\n", flush=True)
        if len(self.verdicts) % 20 == 0:
            print(f"# {len(self.verdicts)}/{len(self._mutants)}: {score(self.verdicts)}\n", flush=True)

    def _fork(self, mutant: Mutant, reaches: Sequence[Reach], most_seconds: float) -> Running:
        own = f"test_{mutant.module}"

        def promise(reach: Reach) -> tuple[int, bool, bool, float]:
            name, line = reach.item.nodeid, (mutant.module, mutant.line)
            return -self._kills[mutant.where, name], line not in reach.lines, own not in name, reach.seconds

        ordered = sorted(reaches, key=promise)
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                self._meet(mutant, ordered, most_seconds, writing)
            finally:
                os._exit(CRASHED)
        os.close(writing)
        return Running(child, mutant, reading, time.monotonic() + LONGEST_WALL_SECONDS)

    def _meet(self, mutant: Mutant, reaches: Sequence[Reach], most_seconds: float, killer: int) -> NoReturn:
        """Lets a mutant meet the tests, in a process of its own."""
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nothing, stream)
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
        module = sys.modules[f"{PACKAGE}.{mutant.module}"]
        changed = _replace_code(module, mutant.source) or _replace_constants(module, mutant.source)
        if not changed:
            _start_again(mutant)
        seconds = 0.0
        for reach in reaches:
            if not changed.isdisjoint(reach.lines) and seconds < most_seconds:
                seconds += reach.seconds
                signal.setitimer(signal.ITIMER_PROF, LONGEST_CPU_SECONDS)
                self._run_one(reach.item)
                if self._failed:
                    os.write(killer, reach.item.nodeid.encode())
                    os._exit(KILLED)
        os._exit(SURVIVED)


def _ended(running: dict[int, Running]) -> Iterator[tuple[int, int]]:
    """Waits for children to end; gives their exit statuses, negative for a signal."""
    pause = 0.002
    while True:
        found = False
        for child in list(running):
            pid, status = os.waitpid(child, os.WNOHANG)
            if pid:
                found = True
                yield child, os.waitstatus_to_exitcode(status)
            elif time.monotonic() > running[child].limit:
                os.kill(child, signal.SIGKILL)
        if found:
            return
        time.sleep(pause)
        pause = min(pause * 1.5, 0.05)


# -- putting a mutant in the place of the original --------------------------------------------------------------------


def _replace_code(module: ModuleType, source: str) -> set[Line]:
    """Puts the one function in place that differs; gives the lines of the old one, or none when it is no function."""
    path = str(module.__file__)
    before, after = (
        compile(text, path, "exec", dont_inherit=True) for text in (Path(path).read_text(encoding="utf-8"), source)
    )
    names: list[str] = []
    while True:
        pairs = _code_pairs(before, after)
        others = [pair for pair in pairs if _fingerprint(pair[0]) != _fingerprint(pair[1])]
        if len(others) != 1 or _own_fingerprint(before) != _own_fingerprint(after):
            return set()
        before, after = others[0]
        names.append(before.co_name)
        found = _function(module, names)
        if found is not None:
            found.__code__ = after
            return {(Path(path).stem, line) for code in _codes(before) for _, _, line in code.co_lines() if line}


def _replace_constants(module: ModuleType, source: str) -> set[Line]:
    """Puts constants in place everywhere they were imported; gives the lines that use them, or none."""
    fresh: dict[str, object] = {"__name__": f"{PACKAGE}.mutant", "__package__": PACKAGE}
    try:
        exec(compile(source, str(module.__file__), "exec"), fresh)  # noqa: S102 - the mutant
    except Exception:  # noqa: BLE001 - no module at all
        os._exit(KILLED)
    known = vars(module)
    names = {
        name
        for name, value in fresh.items()
        if name in known and (_is_plain(value) or _is_plain(known[name])) and repr(value) != repr(known[name])
    } - {"__name__", "__file__", "__builtins__"}
    lines: set[Line] = set()
    for name in names:
        old = known[name]
        for other in list(sys.modules.values()):
            if vars(other).get(name, vars) is old:
                setattr(other, name, fresh[name])
        lines |= _replace_defaults(old, fresh[name])
    return lines | {
        (user.stem, line)
        for user in HANDLER.glob("*.py")
        for code in _codes(compile(user.read_text(encoding="utf-8"), "", "exec"))
        for line in _lines_with(code, names)
        if code.co_name != "<module>"
    }


def _replace_defaults(old: object, new: object) -> set[Line]:
    """Puts a constant in place where it is the default of an argument; gives the lines of those functions."""
    lines = set()
    for module in [module for name, module in sys.modules.items() if name.startswith(PACKAGE)]:
        for function in vars(module).values():
            if isinstance(function, FunctionType) and any(one is old for one in function.__defaults__ or ()):
                function.__defaults__ = tuple(new if one is old else one for one in function.__defaults__ or ())
                lines |= {
                    (Path(str(module.__file__)).stem, line) for _, _, line in function.__code__.co_lines() if line
                }
    return lines


def _lines_with(code: CodeType, names: set[str]) -> Iterator[int]:
    line = 0
    for instruction in dis.get_instructions(code):
        line = getattr(instruction, "line_number", None) or instruction.starts_line or line  # 3.13 renamed it
        if instruction.argval in names and instruction.opname.startswith("LOAD"):
            yield line


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, str | int | float | tuple | list | dict | set)


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for value in code.co_consts:
        if isinstance(value, CodeType):
            yield from _codes(value)


def _code_pairs(before: CodeType, after: CodeType) -> list[tuple[CodeType, CodeType]]:
    inner = [[value for value in code.co_consts if isinstance(value, CodeType)] for code in (before, after)]
    return list(zip(*inner, strict=True)) if len(inner[0]) == len(inner[1]) else []


def _own_fingerprint(code: CodeType) -> tuple[object, ...]:
    """What makes a code, without the functions inside and without places."""
    constants = tuple(repr(value) for value in code.co_consts if not isinstance(value, CodeType))
    return code.co_code, constants, code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars


def _fingerprint(code: CodeType) -> tuple[object, ...]:
    inner = tuple(_fingerprint(value) for value in code.co_consts if isinstance(value, CodeType))
    return (*_own_fingerprint(code), inner)


def _function(module: ModuleType, names: Sequence[str]) -> FunctionType | None:
    found: object = module
    for name in names:
        found = vars(found).get(name)
    found = found.fget if isinstance(found, property) else found
    return found if isinstance(found, FunctionType) else None


class _Source(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module from a text."""

    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant

    def find_spec(self, name: str, path: object, target: object = None) -> ModuleSpec | None:  # noqa: ARG002 - the interface
        if name != f"{PACKAGE}.{self._mutant.module}":
            return None
        return importlib.util.spec_from_file_location(name, HANDLER / f"{self._mutant.module}.py", loader=self)

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(self._mutant.source, str(module.__file__), "exec"), vars(module))  # noqa: S102 - the mutant


class _Alarm:
    """A pytest plugin that ends the process when a test computes for too long."""

    def pytest_runtest_setup(self) -> None:
        signal.setitimer(signal.ITIMER_PROF, 4 * LONGEST_CPU_SECONDS)


def _start_again(mutant: Mutant) -> NoReturn:
    """Imports the handler and its tests anew, the mutant among them, and runs the tests of the module alone."""
    sys.meta_path.insert(0, _Source(mutant))
    for name in list(sys.modules):
        if name.startswith((TESTS.replace("/", "."), PACKAGE)):
            del sys.modules[name]
    own = list(map(str, Path(TESTS).glob(f"test_{mutant.module}*.py")))
    status = pytest.main([*QUIET, *(own or [TESTS])], plugins=[_Alarm()])
    os._exit(SURVIVED if status == 0 else KILLED)


# -- the outcome ------------------------------------------------------------------------------------------------------


def read_explained(text: str) -> dict[Key, str]:
    """Reads explained.txt: paragraphs of `module where`, pairs of `-` and `+` lines, and a last line `= why`."""
    explained: dict[Key, str] = {}
    for paragraph in text.split("\n\n"):
        lines = [line for line in paragraph.splitlines() if line and not line.startswith("#")]
        if not lines:
            continue
        (module, _, where), why = lines[0].partition(" "), lines[-1][2:]
        changes = [line[2:] for line in lines[1:-1]]
        if "".join(line[0] for line in lines[1:]) != "-+" * (len(changes) // 2) + "=" or not why:
            raise ValueError(f"explained.txt: this is no explanation:\n{paragraph}")
        for before, after in zip(changes[::2], changes[1::2], strict=True):
            explained[module, where, before, after] = why
    return explained


def score(verdicts: Sequence[tuple[Mutant, bool]]) -> str:
    """Says how many were killed."""
    killed = sum(dead for _, dead in verdicts)
    return f"{killed:5} of {len(verdicts):5} killed, {100 * killed / max(1, len(verdicts)):.1f} %"


def report(verdicts: Sequence[tuple[Mutant, bool]], explained: dict[Key, str], seconds: float) -> list[str]:
    """Says how it went."""
    modules = sorted({mutant.module for mutant, _ in verdicts})
    lines = [f"{module:12}{score([one for one in verdicts if one[0].module == module])}" for module in modules]
    lines.append(f"{'all':12}{score(verdicts)}, in {seconds / 60:.0f} min")
    survivors = Counter(key_of(mutant) for mutant, dead in verdicts if not dead)
    known = sum(times for key, times in survivors.items() if key in explained)
    lines.append(f"{survivors.total()} survive, {known} of them explained")
    lines += [f"explained, but killed: {key}" for key in sorted(explained) if _is_dead(key, verdicts)]
    return lines


def _is_dead(key: Key, verdicts: Sequence[tuple[Mutant, bool]]) -> bool:
    fates = [dead for mutant, dead in verdicts if key_of(mutant) == key]
    return bool(fates) and all(fates)


def describe(keys: Iterable[Key]) -> str:
    """Writes survivors as explained.txt wants them."""
    return "\n\n".join(f"{module} {where}\n- {before}\n+ {after}" for module, where, before, after in keys)


def hunt(mutants: Sequence[Mutant], explained: Container[Key]) -> Hunt:
    """Runs the tests, and the mutants against them."""
    os.chdir(ROOT)
    phases = [hypothesis.Phase.explicit, hypothesis.Phase.generate]  # a mutant's example need not be small
    hypothesis.settings.register_profile(
        "mutation",
        max_examples=EXAMPLES,
        database=None,
        derandomize=True,
        deadline=None,
        phases=phases,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    hypothesis.settings.load_profile("mutation")
    found = Hunt(mutants, explained)
    pytest.main([*QUIET, TESTS], plugins=[found])
    return found


def main() -> int:
    """Runs the command; returns the exit status."""
    names = sorted(path.stem for path in HANDLER.glob("*.py") if path.stem != "__init__")
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description="Mutation testing of the handler.")
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=f"one of {', '.join(names)}; default all")
    parser.add_argument("--survivors", action="store_true", help="only what survived the last run")
    options = parser.parse_args()
    if unknown := set(options.modules) - set(names):
        parser.error(f"there is no module {', '.join(sorted(unknown))} in {HANDLER.name}")
    explained = read_explained(EXPLAINED.read_text(encoding="utf-8"))
    modules = options.modules or names
    mutants = everything = [mutant for name in modules for mutant in mutants_of(HANDLER / f"{name}.py")]
    if options.survivors:
        before = {tuple(key) for key in json.loads(OUTCOME.read_text(encoding="utf-8"))}
        mutants = [mutant for mutant in everything if key_of(mutant) in before]
    started = time.monotonic()
    found = hunt(mutants, explained)
    if found.problem:
        print(f"mutation: {found.problem}", file=sys.stderr)
        return 1
    survivors = sorted({key_of(mutant) for mutant, dead in found.verdicts if not dead})
    OUTCOME.parent.mkdir(exist_ok=True)
    OUTCOME.write_text(json.dumps(survivors, indent=1), encoding="utf-8")
    unexplained = [key for key in survivors if key not in explained]
    known = {key_of(mutant) for mutant in everything}
    gone = [key for key in explained if key not in known and key[0] in modules]
    print("\n".join(report(found.verdicts, explained, time.monotonic() - started)))
    if unexplained:
        print(f"\nThese survive and are not explained. Fix: write a test, or add to {EXPLAINED.relative_to(ROOT)}:\n")
        print(describe(unexplained))
    if gone:
        print(f"\nThese are explained, but no change makes them any more. Fix: remove them:\n\n{describe(gone)}")
    percent = 100 * sum(dead for _, dead in found.verdicts) / max(1, len(found.verdicts))
    return int(
        bool(unexplained or gone) or (percent < LEAST_PERCENT and len(everything) == len(mutants) and modules == names)
    )


if __name__ == "__main__":
    sys.exit(main())
