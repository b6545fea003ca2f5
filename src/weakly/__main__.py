"""The command line: `python -m weakly tour`, `run PROGRAM` and `leaks PROGRAM`."""

import argparse
import os
import platform
import sys
from typing import Any

from . import __version__, implementation, install
from ._run import CannotRun, run_module, run_script

_RUN_USAGE = """python -m weakly run SCRIPT [ARGS...]
       python -m weakly run -m MODULE [ARGS...]"""
_LEAKS_USAGE = """python -m weakly leaks [OPTIONS] SCRIPT [ARGS...]
       python -m weakly leaks [OPTIONS] -m MODULE [ARGS...]"""


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m weakly", description="Weak references for Python, done properly."
    )
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    tour = commands.add_parser(
        "tour",
        help="show what weak references do, and how fast they are here",
        description="Show what weak references do, with live output, then time them.",
    )
    tour.add_argument(
        "--seconds",
        type=float,
        default=10.0,
        help="how long to measure; 0 leaves the measuring out (default: 10)",
    )

    run = commands.add_parser(
        "run",
        usage=_RUN_USAGE,
        help="run a program, unchanged, with weakly in place of weakref",
        description="Run a program with the classes of the standard library's weakref replaced "
        "by weakly's. All else is as with `python SCRIPT` and `python -m MODULE`. Processes "
        "that the program starts run on weakly if they are forked.",
    )
    _add_program(run)

    leaks = commands.add_parser(
        "leaks",
        usage=_LEAKS_USAGE,
        help="run a program, unchanged, and say which objects it leaves alive, and why",
        description="Run a program and count the objects of its classes meanwhile. When it has "
        "ended, print which are still alive, what holds each, and what would let it go. The "
        "options may also come last, after the program's own arguments; if those look like "
        "options of ours, put -- before SCRIPT.",
    )
    for name, how in _LEAKS_OPTIONS.items():
        leaks.add_argument(name, **how)
    _add_program(leaks)

    options = parser.parse_args()
    if options.command == "tour":
        return _tour(options.seconds)
    is_module, program = _program_of(options)
    if options.command == "leaks":
        program, last = _options_at_end(program, options.script[:1] == ["--"])
        leaks.parse_args(last, options)
    if not program:
        commands.choices[options.command].error("name a SCRIPT or a -m MODULE to run")
    run_program = run_module if is_module else run_script
    try:
        if options.command == "run":
            install()
            run_program(program[0], program[1:])
        else:
            with _watch(leaks, options, ["-m", *program] if is_module else program):
                run_program(program[0], program[1:])
    except CannotRun as error:
        print(f"python -m weakly {options.command}: {error}", file=sys.stderr)
        return error.status
    return 0


_LEAKS_OPTIONS: dict[str, dict[str, Any]] = {
    "--watch": {
        "metavar": "CLASS",
        "action": "append",
        "default": [],
        "help": "a class of which nothing should be alive at the end: myapp.User, myapp:User, "
        "User, or a pattern like 'myapp.*'; several with commas, or as several options "
        "(default: those of the program's own classes that have grown)",
    },
    "--report": {"metavar": "FILE", "help": "write an HTML page"},
    "--signal": {
        "metavar": "NAME",
        "help": "report at this signal, too, for example USR1, and let the program go on",
    },
    "--sites": {
        "action": "store_true",
        "help": "say where the objects were made, as far as their class was seen before that; "
        "gives these classes an __init__ that takes note of it, which tracebacks show",
    },
    "--fail": {
        "action": "store_true",
        "help": "exit with status 1 if something leaks and the program has succeeded",
    },
}


def _add_program(parser: argparse.ArgumentParser) -> None:
    # What follows the program's name is its own, options included.
    parser.add_argument(
        "-m", dest="module", nargs=argparse.REMAINDER, metavar="MODULE", help="a module to run"
    )
    parser.add_argument(
        "script",
        nargs=argparse.REMAINDER,
        metavar="SCRIPT",
        help="a Python file, or a folder or zip file with a __main__.py in it",
    )


def _program_of(options: argparse.Namespace) -> tuple[bool, list[str]]:
    """Whether the program is a module; its name and arguments."""
    if options.module is not None:
        return True, options.module + options.script  # which begins with a -- if not empty
    script: list[str] = options.script
    if script[:1] != ["--"]:
        return False, script
    if script[1:2] == ["-m"]:
        return True, script[2:]
    return False, script[1:]


def _options_at_end(program: list[str], all_its_own: bool) -> tuple[list[str], list[str]]:
    """Divide a command line into the program's and the options of ours at its end."""

    def are_ours(rest: list[str]) -> bool:
        while rest:
            name, equals, _ = rest[0].partition("=")
            if name not in _LEAKS_OPTIONS:
                return False
            has_value = "metavar" in _LEAKS_OPTIONS[name] and not equals
            if len(rest) < 1 + has_value:
                return False
            rest = rest[1 + has_value :]
        return True

    if all_its_own or "--" in program:
        return program, []
    for end in range(1, len(program)):
        if are_ours(program[end:]):
            return program[:end], program[end:]
    return program, []


def _version() -> str:
    core = {"c": "C core", "python": "Python tables"}[implementation]
    return (
        f"weakly {__version__} "
        f"({core}, {platform.python_implementation()} {platform.python_version()})"
    )


def _tour(seconds: float) -> int:
    try:
        import rich  # noqa: F401  # pyright: ignore[reportUnusedImport] - only asked for
    except ImportError:
        print(
            "The tour is drawn with rich, which is not installed: pip install 'weakly[tour]'",
            file=sys.stderr,
        )
        return 1
    from ._tour import tour

    try:
        tour(_version(), seconds)
    except KeyboardInterrupt:
        return 130
    return 0


def _watch(parser: argparse.ArgumentParser, options: Any, program: list[str]) -> Any:
    from .tracking._leaks import Watch, signal_number

    if options.report and not os.path.isdir(os.path.dirname(os.path.abspath(options.report))):
        parser.error(f"there is no folder for {options.report}")
    if options.report and os.path.isdir(options.report):
        parser.error(f"{options.report} is a folder")
    try:
        signal = signal_number(options.signal) if options.signal else None
    except ValueError as error:
        parser.error(str(error))
    patterns = [name.strip() for names in options.watch for name in names.split(",")]
    return Watch(
        program, list(filter(None, patterns)), options.report, signal, options.fail, options.sites
    )


if __name__ == "__main__":
    sys.exit(main())
