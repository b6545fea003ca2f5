"""Runs a program in place of this one: what `python -m weakly run` does.

The aim is that the program cannot tell: its `__main__`, `sys.argv`, `sys.path`, its exit
status and its tracebacks are those of `python SCRIPT` and `python -m MODULE`.
"""

import builtins
import importlib.util
import os
import pkgutil
import sys
from importlib.machinery import ModuleSpec, SourceFileLoader, SourcelessFileLoader
from types import CodeType, ModuleType, TracebackType
from typing import Any, NoReturn

__all__ = ["CannotRun", "run_module", "run_script"]


class CannotRun(Exception):
    """There is no such program. `status` is what `python` would exit with."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def run_script(path: str, arguments: list[str]) -> None:
    """Run a source file, a `.pyc`, or a folder or zip file with a `__main__` in it."""
    sys.argv = [path, *arguments]
    full_path = os.path.join(os.getcwd(), path)
    importer = pkgutil.get_importer(full_path)
    if importer is None:
        _replace_first_path(os.path.dirname(os.path.realpath(path)))
        _execute(*_load_file(full_path, path))
    else:
        _replace_first_path(full_path, always=True)
        spec = importer.find_spec("__main__")
        if spec is None:
            raise CannotRun(f"{path!r} has no __main__ module in it", 1)
        _execute(*_load_spec(spec))


def run_module(name: str, arguments: list[str]) -> None:
    """Run a module, or the `__main__` of a package, as found on `sys.path`."""
    sys.argv = ["-m", *arguments]  # as `python -m` has it while it looks for the module
    spec = _find_module(name)
    if spec.submodule_search_locations is not None:
        spec = _find_module(f"{name}.__main__", f"{name!r} is a package without a __main__")
    if spec.origin is not None:
        sys.argv[0] = spec.origin
    _execute(*_load_spec(spec))


def _replace_first_path(folder: str, *, always: bool = False) -> None:
    """Put `folder` where `python -m` has put the current one, or first where it has not."""
    if not sys.flags.safe_path:
        sys.path[0] = folder
    elif always:
        sys.path.insert(0, folder)


def _load_file(full_path: str, shown_path: str) -> tuple[ModuleType, CodeType]:
    loader: SourceFileLoader | SourcelessFileLoader
    try:
        if full_path.endswith(".pyc"):
            loader = SourcelessFileLoader("__main__", full_path)
            code = loader.get_code("__main__")
        else:
            loader = SourceFileLoader("__main__", full_path)
            code = loader.source_to_code(loader.get_data(full_path), full_path)
    except OSError as error:
        raise CannotRun(f"cannot open {shown_path!r}: {error.strerror}", 2) from None
    except (SyntaxError, ValueError, ImportError) as error:
        _raise_as_from(error, None)
    module = ModuleType("__main__")
    module.__loader__ = loader
    module.__file__ = full_path
    return module, _has_code(code, shown_path)


def _load_spec(spec: ModuleSpec) -> tuple[ModuleType, CodeType]:
    get_code = getattr(spec.loader, "get_code", None)
    if get_code is None:
        raise CannotRun(f"{spec.name!r} has no Python code to run", 1)
    try:
        code = get_code(spec.name)
    except SyntaxError as error:
        _raise_as_from(error, None)
    module = ModuleType("__main__")
    module.__loader__ = spec.loader
    module.__file__ = spec.origin
    module.__spec__ = spec
    module.__package__ = spec.parent
    if sys.version_info < (3, 15):
        vars(module)["__cached__"] = spec.cached
    return module, _has_code(code, spec.name)


def _has_code(code: CodeType | None, name: str) -> CodeType:
    if code is None:  # an extension module, say
        raise CannotRun(f"{name!r} has no Python code to run", 1)
    return code


def _find_module(name: str, message: str | None = None) -> ModuleSpec:
    if name.startswith("."):
        raise CannotRun(f"relative module name {name!r}", 1)
    message = message or f"no module named {name!r}"
    parent = name.rpartition(".")[0]
    if parent:
        try:
            # Not importlib.import_module(), whose frames the interpreter would leave in
            # the traceback of what the package raises.
            __import__(parent)
        except ImportError as error:
            if error.name is not None and f"{parent}.".startswith(f"{error.name}."):
                raise CannotRun(message, 1) from None
            _raise_as_from(error, _next(error.__traceback__))
        except Exception as error:
            _raise_as_from(error, _next(error.__traceback__))
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError) as error:  # the parent is no package; a broken __spec__
        raise CannotRun(f"{message} ({error})", 1) from None
    if spec is None:
        raise CannotRun(message, 1)
    return spec


def _execute(module: ModuleType, code: CodeType) -> None:
    """Run `code` as the main program; what it raises is shown as if no one had called it."""
    namespace = vars(module)
    namespace["__builtins__"] = builtins
    sys.modules["__main__"] = module
    try:
        exec(code, namespace)
    except SystemExit:
        raise
    except BaseException as error:
        _raise_as_from(error, _next(error.__traceback__))


def _next(traceback: TracebackType | None) -> TracebackType | None:
    return traceback and traceback.tb_next


def _raise_as_from(error: BaseException, traceback: TracebackType | None) -> NoReturn:
    """Raise `error` to the top, and have it shown there with `traceback` only.

    The frames of weakly and of `runpy` join the traceback on the way up, and nothing sees
    them all but `sys.excepthook`. So that is replaced for the one moment; the interpreter
    still does the rest, such as dying of SIGINT after a KeyboardInterrupt.
    """
    program_hook: Any = getattr(sys, "excepthook", sys.__excepthook__)

    def show(kind: type[BaseException], error: BaseException, _: TracebackType | None) -> None:
        sys.excepthook = program_hook
        error.__traceback__ = sys.last_traceback = traceback
        try:
            program_hook(kind, error, traceback)
        except BaseException as failure:
            failure.__traceback__ = _next(failure.__traceback__)
            raise  # bare, so that it does not add this frame again

    sys.excepthook = show
    raise error
