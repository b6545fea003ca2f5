"""`python -m weakly run`: a program runs as under `python`, but for where weakref comes from.

`python` itself is the oracle wherever it can be: same status, same output, same traceback.
"""

from __future__ import annotations

import os
import py_compile
import signal
import zipapp
from pathlib import Path
from textwrap import dedent

import pytest
from programs import output, python, result, weakly_run
from support import PYPY

import weakly


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path: str, source: str) -> str:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(dedent(source), encoding="utf-8")
    return path


def check_same(*arguments: object) -> None:
    assert result(weakly_run(*arguments)) == result(python(*arguments))


SHOW = """
    import sys
    print(__name__, __file__, __package__, __spec__ and __spec__.name, type(__loader__).__name__)
    print(__doc__, sys.argv, sys.path[0], sys.modules["__main__"].__dict__ is globals())
    print(type(__builtins__).__name__)
"""

# Programs whose end must be exactly the same, standard error included.
ENDINGS = {
    "returns": "print('done')",
    "exit 3": "import sys; sys.exit(3)",
    "exit 0": "import sys; sys.exit(0)",
    "exit with None": "import sys; sys.exit(None)",
    "exit with a message": "import sys; sys.exit('it went wrong')",
    "exit with an object": "raise SystemExit(1.5)",
    "exit with a tuple": "raise SystemExit(2, 3)",
    "exit at once": "import os; os._exit(5)",
    "an exception": """
        def outer():
            inner()
        def inner():
            raise ValueError("wrong")
        outer()
    """,
    "an exception with a cause": """
        def fail():
            try:
                {}["key"]
            except KeyError as error:
                raise ValueError("wrong") from error
        fail()
    """,
    "an exception while handling another": """
        try:
            {}["key"]
        except KeyError:
            [][1]
    """,
    "an exception with notes": """
        error = ValueError("wrong")
        error.add_note("noted")
        raise error
    """,
    "an exception group": """
        def fail(exception):
            raise exception
        caught = []
        for number in range(2):
            try:
                fail(ValueError(number))
            except ValueError as error:
                caught.append(error)
        try:
            raise ExceptionGroup("inner", caught)
        except ExceptionGroup as inner:
            raise ExceptionGroup("outer", [inner, KeyError(1)]) from caught[0]
    """,
    "an exception out of the library": "import json; json.loads('{')",
    "an exception out of a callback": "sorted([1, 2], key=lambda number: number.x)",
    "a traceback that is cut short": "raise ValueError('wrong').with_traceback(None)",
    "an import that fails": "import there_is_no_such_module",
    "a syntax error": "first = 1\nsecond = = 2\n",
    "an indentation error": "if True:\nprint()\n",
    "a syntax error in eval": "eval('1 +')",
    "an interrupt": "raise KeyboardInterrupt",
    "an interrupt by a signal": """
        import signal
        def wait():
            signal.raise_signal(signal.SIGINT)
        wait()
    """,
    "an interrupt that is caught": """
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            print("caught")
    """,
    "an excepthook": """
        import sys, traceback
        def hook(kind, error, trace):
            frames = [frame.name for frame in traceback.extract_tb(trace)]
            print(kind, repr(error), frames, error.__traceback__ is trace)
            print(sys.last_value is error, sys.last_traceback is trace, sys.excepthook is hook)
        sys.excepthook = hook
        def fail():
            raise ValueError("wrong")
        fail()
    """,
    "an excepthook that fails": """
        import sys
        def hook(kind, error, trace):
            raise KeyError("in the hook")
        sys.excepthook = hook
        raise ValueError("wrong")
    """,
    "an excepthook that exits": """
        import sys
        sys.excepthook = lambda *_: sys.exit(7)
        raise ValueError("wrong")
    """,
    "atexit": """
        import atexit, sys
        def bye():
            print("bye", value, sys.modules["__main__"].value, sys.excepthook is not None)
        atexit.register(bye)
        value = 1
        raise ValueError("wrong")
    """,
    "exit in atexit": "import atexit, sys; atexit.register(sys.exit, 4)",
    "a finalizer at exit": """
        import weakref
        class Thing: pass
        thing = Thing()
        weakref.finalize(thing, print, "finalized")
        print("end")
    """,
    "an exception in a thread": """
        import threading
        def fail():
            raise ValueError("wrong")
        thread = threading.Thread(target=fail, name="worker")
        thread.start()
        thread.join()
    """,
    "a thread that outlives the program": """
        import threading, time
        def work():
            time.sleep(0.05)
            print("worked", here)
        threading.Thread(target=work).start()
        here = "here"
    """,
    "a warning": """
        import warnings
        def warn():
            warnings.warn("careful")
        warn()
    """,
    "future imports of its own": """
        from __future__ import annotations
        def annotated(x: nothing): pass
        print(annotated.__annotations__)
    """,
    "source that is asked for": """
        import inspect
        def shown(): pass
        print(inspect.getsource(shown))
    """,
    "pickles of its own classes": """
        import pickle
        class Thing: pass
        print(type(pickle.loads(pickle.dumps(Thing()))) is Thing)
    """,
    "an import of itself": "import __main__; value = 1; print(__main__.value, __main__)",
}


# PyPy itself prints what comes of these, with a traceback that nobody can reach.
CPYTHON_ENDINGS = {"an excepthook that fails", "an excepthook that exits"}


@pytest.mark.parametrize("name", ENDINGS)
def test_ends_as_under_python(name):
    if PYPY and name in CPYTHON_ENDINGS:
        pytest.skip("PyPy shows its own frames")
    check_same(write("program.py", ENDINGS[name]))


@pytest.mark.skipif(os.name != "posix", reason="POSIX signals")
def test_an_interrupted_program_dies_of_the_signal():
    process = weakly_run(write("program.py", "raise KeyboardInterrupt"))
    assert process.returncode in (-signal.SIGINT, 128 + signal.SIGINT)


def test_traceback_has_only_the_program_s_frames():
    process = weakly_run(write("program.py", "1 / 0"))
    assert process.returncode == 1
    assert process.stderr.count("File ") == 1
    assert f'File "{Path.cwd()}/program.py", line 1, in <module>' in process.stderr


def test_source_that_cannot_be_decoded_is_shown_without_our_frames():
    Path("program.py").write_bytes(b"x = '\xff'\n")
    process = weakly_run("program.py")
    assert process.returncode == 1
    assert "Traceback" not in process.stderr
    assert "SyntaxError" in process.stderr


@pytest.mark.parametrize(
    "arguments",
    [(), ("a", "b c"), ("--help",), ("-m", "json.tool"), ("--", "-x"), ("--version", "")],
    ids=repr,
)
def test_arguments_are_the_program_s(arguments):
    check_same(write("program.py", SHOW), *arguments)


@pytest.mark.parametrize("path", ["program.py", "./program.py", "sub/../program.py"])
def test_names_and_paths_are_as_under_python(path):
    write("sub/other.py", "")
    write("program.py", SHOW)
    check_same(path)


def test_absolute_path(folder):
    write("sub/program.py", SHOW)
    check_same(folder / "sub" / "program.py", "x")


def test_neighbours_are_imported_from_the_script_s_folder():
    write("sub/neighbour.py", "name = __name__")
    check_same(write("sub/program.py", "import neighbour; print(neighbour.name)"))


@pytest.mark.skipif(os.name != "posix", reason="symbolic links")
def test_symbolic_link_leads_to_the_folder_of_the_real_script():
    write("sub/neighbour.py", "")
    write("sub/program.py", "import neighbour" + dedent(SHOW))
    os.symlink("sub/program.py", "link.py")
    check_same("link.py")


def test_safe_path_is_respected():
    write("program.py", "import sys; print(sys.path)")
    plain = python("-P", "program.py")
    assert result(python("-P", "-m", "weakly", "run", "program.py")) == result(plain)


def test_folder_with_a_main():
    write("app/part.py", "")
    write("app/__main__.py", "import part" + dedent(SHOW))
    check_same("app", "x")


def test_zip_file_with_a_main():
    write("app/part.py", "")
    write("app/__main__.py", "import part" + dedent(SHOW))
    zipapp.create_archive("app", "app.pyz")
    check_same("app.pyz", "--help")


def test_traceback_out_of_a_folder():
    write("app/__main__.py", "1 / 0")
    process = weakly_run("app")
    assert process.returncode == 1
    assert process.stderr.count("File ") == 1


def test_compiled_file():
    py_compile.compile(write("program.py", SHOW), cfile="program.pyc")
    check_same("program.pyc", "x")


def test_weakref_is_ours_in_the_program():
    program = write(
        "program.py",
        """
        import weakref, weakly
        from weakref import WeakSet
        from _weakrefset import WeakSet as inner
        print(WeakSet is inner is weakly.WeakSet, weakref.finalize is weakly.finalize)
        print(weakly.implementation)
        """,
    )
    assert output(weakly_run(program)) == f"True True\n{weakly.implementation}\n"


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
def test_multiprocessing_finds_what_the_program_defines(method):
    import multiprocessing

    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} here")
    program = write(
        "program.py",
        f"""
        import multiprocessing

        def double(number):
            return 2 * number

        if __name__ == "__main__":
            with multiprocessing.get_context({method!r}).Pool(1) as pool:
                print(pool.map(double, [1, 2]))
        """,
    )
    assert output(weakly_run(program)) == "[2, 4]\n"


# ------------------------------------------------------------------------ -m MODULE


def test_module():
    write("program.py", SHOW)
    check_same("-m", "program", "a", "--help")


def test_module_in_a_package():
    write("package/__init__.py", "import sys; print('package', sys.argv)")
    write("package/part.py", "")
    write("package/program.py", "from . import part" + dedent(SHOW))
    check_same("-m", "package.program", "-m")


def test_package_with_a_main():
    write("package/__init__.py", "")
    write("package/__main__.py", SHOW)
    check_same("-m", "package")


def test_module_of_the_standard_library():
    write("data.json", "[1]")
    check_same("-m", "json.tool", "data.json")
    check_same("-m", "json.tool", "--help")


def test_module_without_a_space():
    write("program.py", "print('ran')")
    assert output(weakly_run("-mprogram")) == "ran\n"


@pytest.mark.parametrize("end", ["1 / 0", "import sys; sys.exit(3)", "raise KeyboardInterrupt"])
def test_module_ends_as_a_script_does(end):
    write("program.py", end)
    assert result(weakly_run("-m", "program")) == result(python("program.py"))


def test_syntax_error_in_a_module():
    write("program.py", "x = = 1")
    assert result(weakly_run("-m", "program")) == result(python("program.py"))


@pytest.mark.parametrize("source", ["1 / 0", "import there_is_no_such_module", "raise ImportError"])
def test_package_that_fails_shows_its_own_frames_only(source):
    write("package/__init__.py", source)
    write("package/program.py", "")
    process = weakly_run("-m", "package.program")
    assert process.returncode == 1
    assert process.stderr.startswith("Traceback")
    assert process.stderr.count("File ") == 1
    assert f"package{os.sep}__init__.py" in process.stderr


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing", "no module named 'nothing'"),
        ("nothing.part", "no module named 'nothing.part'"),
        ("package.nothing", "no module named 'package.nothing'"),
        ("package.part.nothing", "no module named 'package.part.nothing'"),
        ("package", "'package' is a package without a __main__"),
        (".package", "relative module name '.package'"),
        ("sys", "'sys' has no Python code to run"),
    ],
)
def test_module_that_is_not_there(name, message):
    write("package/__init__.py", "")
    write("package/part.py", "")
    process = weakly_run("-m", name)
    assert process.returncode == python("-m", name).returncode == 1
    assert process.stderr.startswith(f"python -m weakly run: {message}")
    assert process.stdout == ""


# -------------------------------------------------------------------- the command line


def test_script_that_is_not_there():
    process = weakly_run("nothing.py", "x")
    assert process.returncode == python("nothing.py").returncode == 2
    assert process.stderr == (
        "python -m weakly run: cannot open 'nothing.py': No such file or directory\n"
    )


def test_folder_without_a_main():
    write("empty/other.py", "")
    process = weakly_run("empty")
    assert process.returncode == python("empty").returncode == 1
    assert process.stderr == "python -m weakly run: 'empty' has no __main__ module in it\n"


@pytest.mark.parametrize("arguments", [("run",), ("run", "-m"), ("run", "--no-such"), (), ("x",)])
def test_usage_errors(arguments):
    process = python("-m", "weakly", *arguments)
    assert process.returncode == 2
    assert process.stderr.startswith("usage: python -m weakly")


def test_help():
    assert "tour" in output(python("-m", "weakly", "--help"))
    help_of_run = output(python("-m", "weakly", "run", "--help"))
    assert "SCRIPT" in help_of_run
    assert "MODULE" in help_of_run


def test_version():
    core = "C core" if weakly.implementation == "c" else "Python tables"
    text = output(python("-m", "weakly", "--version"))
    assert text.startswith(f"weakly {weakly.__version__} ({core}, ")
