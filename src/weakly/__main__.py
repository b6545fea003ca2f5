"""The command line: `python -m weakly tour` and `python -m weakly run PROGRAM`."""

import argparse
import platform
import sys

from . import __version__, implementation, install
from ._run import CannotRun, run_module, run_script

_RUN_USAGE = """python -m weakly run SCRIPT [ARGS...]
       python -m weakly run -m MODULE [ARGS...]"""


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
    # What follows the program's name is its own, options included.
    run.add_argument(
        "-m", dest="module", nargs=argparse.REMAINDER, metavar="MODULE", help="a module to run"
    )
    run.add_argument(
        "script",
        nargs=argparse.REMAINDER,
        metavar="SCRIPT",
        help="a Python file, or a folder or zip file with a __main__.py in it",
    )

    options = parser.parse_args()
    if options.command == "tour":
        return _tour(options.seconds)
    if not options.module and not options.script:
        run.error("name a SCRIPT or a -m MODULE to run")
    return _run(options.module, options.script)


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


def _run(module: list[str] | None, script: list[str]) -> int:
    install()
    try:
        if module:
            run_module(module[0], module[1:])
        else:
            run_script(script[0], script[1:])
    except CannotRun as error:
        print(f"python -m weakly run: {error}", file=sys.stderr)
        return error.status
    return 0


if __name__ == "__main__":
    sys.exit(main())
