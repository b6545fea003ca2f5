"""The pytest plugin: tests that leave objects behind fail, and no others do."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import Any

import pytest
from support import environment, slow_on_pypy

pytest_plugins = ["pytester"]

INSTALLED = bool(entry_points(group="pytest11", name="weakly"))
PLUGIN = () if INSTALLED else ("-p", "weakly._pytest_plugin")

APP = """
class User:
    def __init__(self, name=""):
        self.name = name

class Admin(User):
    def __init__(self):
        pass

class Bare:
    __slots__ = ()

users = []

def sign_in(name=""):
    users.append(User(name))
    return users[-1]
"""
IMPORTS = """
import app
import pytest
from app import Admin, User, sign_in, users
"""
MARKED = IMPORTS + "pytestmark = pytest.mark.no_leaks(User)\n"

Run = Callable[..., pytest.RunResult]


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a test file in a pytest of its own, within this process."""
    pytester.makepyfile(app=APP)
    # Modules that it loads to rewrite their assertions would keep it.
    pytester.makeini("[pytest]\naddopts = --strict-markers --assert=plain -p no:cacheprovider\n")
    monkeypatch.syspath_prepend(pytester.path)

    def run(source: str, *options: str, imports: str = MARKED) -> pytest.RunResult:
        from textwrap import dedent

        pytester.makepyfile(test_it=imports + dedent(source))
        return pytester.runpytest_inprocess(*PLUGIN, *options)

    return run


def test_a_test_that_leaves_nothing(run: Run) -> None:
    result = run("""
        def test_nothing(): pass
        def test_one(): User()
        def test_cycle():
            user = User()
            user.me = user
        def test_removed():
            sign_in()
            users.clear()
    """)
    result.assert_outcomes(passed=4)


def test_a_test_that_leaks(run: Run) -> None:
    result = run("""
        def test_leak():
            sign_in("ann")
        def test_after(): pass
    """)
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(
        [
            "*ERROR at teardown of test_leak*",
            "1 app.User made by this test is alive after it",
            "app.User at 0x*, made by sign_in() at app.py:*",
            "*module app",
            "*app.users[[]0[]]*app.User*",
            "*objects that tests leave behind*",
            "app.User: 1 of 1 test",
            "ERROR test_it.py::test_leak - Leaked: 1 app.User made by*",
        ]
    )
    result.stdout.no_fnmatch_line("*_pytest_leaks.py*")


@slow_on_pypy
def test_many_leaks(run: Run) -> None:
    result = run("""
        @pytest.mark.parametrize("number", range(3))
        def test_leak(number):
            for _ in range(10 * number):
                sign_in()
            users.append({"admin": Admin()})
    """)
    result.assert_outcomes(passed=3, errors=3)
    result.stdout.fnmatch_lines(
        [
            "1 app.Admin made by this test is alive after it",
            "10 app.User, 1 app.Admin made by this test are alive after it",
            "*made by sign_in()*",
            "*['admin']*",
            "... and 9 more",
            "app.Admin: 3 of 3 tests",
            "app.User: 30 of 2 tests",
        ]
    )


@slow_on_pypy
def test_what_was_made_without_init_counts(run: Run) -> None:
    result = run("""
        import copy
        user = User()
        def test_leak(): users.append(copy.copy(user))
    """)
    result.assert_outcomes(passed=1, errors=1)


@slow_on_pypy
def test_what_was_made_without_init_and_grew_old_counts(run: Run) -> None:
    result = run("""
        import copy, gc
        user = User()
        def test_leak():
            users.append(copy.copy(user))
            gc.collect(1)
    """)
    result.assert_outcomes(passed=1, errors=1)


@slow_on_pypy
def test_a_class_that_looks_like_one_of_tests(run: Run) -> None:
    result = run(
        """
        class Settings:
            testing = True
            def test_connection(self): pass
        @pytest.mark.no_leaks(Settings)
        def test_leak(): users.append(Settings())
        """,
        imports=IMPORTS,
    )
    result.assert_outcomes(passed=1, errors=1)


@slow_on_pypy
def test_where_the_marker_may_stand(run: Run) -> None:
    result = run(
        """
        @pytest.mark.no_leaks(User)
        def test_function(): sign_in()

        @pytest.mark.no_leaks("app.Admin")
        class TestNamed:
            def test_other(self): sign_in()
            def test_leak(self): users.append(Admin())
            @pytest.mark.no_leaks(User)
            def test_both(self): users.extend([Admin(), User()])

        @pytest.mark.no_leaks(User, Admin)
        class TestBoth:
            def test_leak(self): sign_in()

        @pytest.mark.parametrize("name", [
            pytest.param("ann", marks=pytest.mark.no_leaks(User)), "bob",
        ])
        def test_parameter(name): sign_in(name)
        """,
        imports=IMPORTS,
    )
    result.assert_outcomes(passed=7, errors=5)


@slow_on_pypy
def test_fixtures_of_the_test_are_torn_down_first(run: Run) -> None:
    result = run("""
        @pytest.fixture
        def user():
            yield sign_in()
            users.clear()
        @pytest.fixture
        def other(user):
            return User()
        @pytest.fixture
        def leak():
            yield
            sign_in()
        def test_good(user, other): other.friend = user
        def test_leak(leak): pass
    """)
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*ERROR at teardown of test_leak*", "*made by sign_in()*"])


@slow_on_pypy
@pytest.mark.parametrize("scope", ["class", "module", "package", "session"])
def test_fixtures_of_a_wider_scope_are_not_blamed(run: Run, scope: str) -> None:
    result = run(f"""
        @pytest.fixture(scope={scope!r})
        def user():
            user = sign_in()  # registered, and that is right
            yield user
            users.remove(user)
        @pytest.fixture(scope={scope!r})
        def book():
            return {{}}
        def test_first(user, book): book["me"] = User()
        def test_second(user): User()
        def test_leak(user): users.append(User())
    """)
    result.assert_outcomes(passed=3, errors=1)


@slow_on_pypy
def test_setup_of_modules_and_classes_is_not_blamed(run: Run) -> None:
    result = run("""
        def setup_module(): app.one = User()
        class TestClass:
            @classmethod
            def setup_class(cls): cls.user = User()
            def setup_method(self): self.mine = User()
            def test_one(self): self.more = User()
    """)
    result.assert_outcomes(passed=1)


@slow_on_pypy
def test_what_pytest_keeps_is_not_blamed(run: Run) -> None:
    result = run("""
        import logging
        import warnings
        @pytest.mark.parametrize("user", [User("ann"), User("bob")])
        def test_parameter(user): user.friend = User()
        def test_monkeypatch(monkeypatch): monkeypatch.setattr(app, "users", [User()])
        def test_output(capsys, caplog, recwarn):
            logging.warning("%s", User())
            warnings.warn(UserWarning(User()))
            print(User())
        def test_assertion():
            user = User()
            assert user.name == "" and [user] == [user]
            with pytest.raises(KeyError) as info:
                raise KeyError(user)
        def test_request(request, record_property):
            request.node.user = User()
            request.config.stash[pytest.StashKey()] = User()
            record_property("user", User())
    """)
    result.assert_outcomes(passed=6)


@slow_on_pypy
def test_tests_that_do_not_pass_are_not_looked_at(run: Run) -> None:
    result = run("""
        @pytest.fixture
        def broken(): raise KeyError(sign_in())
        def test_failing():
            user = sign_in()
            assert user is None
        def test_skipped():
            sign_in()
            pytest.skip("")
        @pytest.mark.xfail
        def test_expected():
            assert sign_in() is None
        def test_broken(broken): pass
        def test_after(): User()
        def test_leak(): sign_in()
    """)
    result.assert_outcomes(passed=2, failed=1, skipped=1, xfailed=1, errors=2)


@slow_on_pypy
def test_unittest_cases(run: Run) -> None:
    result = run("""
        import unittest
        class TestCase(unittest.TestCase):
            def setUp(self): self.user = User()
            def test_good(self): self.other = User()
            def test_leak(self): sign_in()
            def test_failing(self): self.assertIsNone(sign_in())
    """)
    result.assert_outcomes(passed=2, failed=1, errors=1)


@slow_on_pypy
def test_the_option(run: Run) -> None:
    result = run(
        """
        @pytest.fixture(scope="session", autouse=True)
        def first(): sign_in()
        def test_good(): User()
        def test_leak(): sign_in()
        def test_admin(): users.append(Admin())
        def test_failing(): assert not sign_in()
        def test_after(): User()
        """,
        "--weakly-leaks=app.User",
        imports=IMPORTS,
    )
    result.assert_outcomes(passed=4, failed=1, errors=2)
    result.stdout.fnmatch_lines(["app.User: 1 of 1 test", "app.Admin: 1 of 1 test"])


@slow_on_pypy
def test_the_option_with_a_list(run: Run) -> None:
    result = run(
        """
        class Mine: pass
        def test_leak(): users.append(Mine())
        def test_admin(): users.append(Admin())
        def test_user(): users.append(User())
        """,
        "--weakly-leaks=test_it.Mine,app:Admin",
        imports=IMPORTS,
    )
    result.assert_outcomes(passed=3, errors=2)


@slow_on_pypy
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("app.Nobody", "module 'app' has no attribute 'Nobody'"),
        ("nowhere.Nobody", "No module named 'nowhere'"),
        ("app.users", "'app.users' is no class"),
        ("User", "'User' is no class: give its module, too, as in myapp.User"),
        ("object", "cannot *"),
        ("app.Bare", "cannot tell whether 'app.Bare' objects are collected*"),
    ],
)
def test_wrong_classes(run: Run, name: str, message: str) -> None:
    result = run("def test_one(): pass", f"--weakly-leaks={name}", imports=IMPORTS)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: --weakly-leaks: {message}"])
    result = run(f"@pytest.mark.no_leaks({name!r})\ndef test_one(): pass", imports=IMPORTS)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"no_leaks: {message}"])


@slow_on_pypy
def test_the_marker_in_a_conftest(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makeconftest("""
        import app, pytest
        mark = pytest.mark.no_leaks(app.User)
        def pytest_collection_modifyitems(items):
            for item in items:
                item.add_marker(mark)
    """)
    run("def test_leak(): sign_in()", imports=IMPORTS).assert_outcomes(passed=1, errors=1)


@slow_on_pypy
def test_a_marker_without_classes(run: Run) -> None:
    result = run("@pytest.mark.no_leaks()\ndef test_one(): pass", imports=IMPORTS)
    result.assert_outcomes(errors=1)
    for what in ("def test_one(): pass", "class TestOne:\n    def test_one(self): pass"):
        result = run(f"@pytest.mark.no_leaks\n{what}", imports=IMPORTS)
        result.stdout.fnmatch_lines(["*TypeError: which classes?*"])
        assert result.ret == pytest.ExitCode.INTERRUPTED


@slow_on_pypy
def test_classes_are_left_as_they_were(run: Run) -> None:
    result = run(
        """
        init = User.__init__
        @pytest.mark.no_leaks(User)
        def test_watched(): assert User.__init__ is not init
        def test_not_watched(): assert User.__init__ is init
        def test_tracker(weakly_tracker):
            weakly_tracker.watch_class(User)
            user = sign_in()
            assert weakly_tracker.alive() == [user]
        def test_after(): assert User.__init__ is init
        """,
        imports=IMPORTS,
    )
    result.assert_outcomes(passed=4)


@slow_on_pypy
def test_the_rest_of_pytest_goes_on(run: Run) -> None:
    source = """
        def test_leak(): sign_in()
        def test_after(): User()
    """
    run(source, "-x").assert_outcomes(passed=1, errors=1)
    run(source, "-v", "--durations=1", "--setup-show").assert_outcomes(passed=2, errors=1)
    run(source, "-p", "no:terminal")
    run(source, "--junitxml=report.xml", "--tb=no").assert_outcomes(passed=2, errors=1)


def test_it_is_listed(run: Run, pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_inprocess(*PLUGIN, "--markers")
    result.stdout.fnmatch_lines(["@pytest.mark.no_leaks(CLASS, ...): fail if an instance*"])
    result = pytester.runpytest_inprocess(*PLUGIN, "--fixtures", "-v")
    result.stdout.fnmatch_lines(["weakly_tracker*"])


def test_without_it_nothing_is_looked_at(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", environment()["PYTHONPATH"])
    pytester.makepyfile(
        test_it="""
        import sys
        def test_one(request):
            assert "weakly.tracking._pytest_leaks" not in sys.modules
            assert not request.config.pluginmanager.has_plugin("weakly-leaks")
        """
    )
    result = pytester.runpytest_subprocess(*PLUGIN)
    result.assert_outcomes(passed=1)


@slow_on_pypy
@pytest.mark.skipif(not INSTALLED, reason="its entry point is not installed here")
def test_it_can_be_left_out(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_inprocess("-p", "no:weakly", "--weakly-leaks=app.User")
    assert result.ret == pytest.ExitCode.USAGE_ERROR


def other_plugin(name: str) -> Any:
    return pytest.mark.skipif(find_spec(name) is None, reason=f"{name} is not installed")


@slow_on_pypy
@other_plugin("xdist")
def test_in_several_processes(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", environment()["PYTHONPATH"])
    source = """
        @pytest.mark.parametrize("number", range(6))
        def test_leak(number):
            if number % 2:
                sign_in()
    """
    result = run(source, "-n2", "--weakly-leaks=app.User", imports=IMPORTS)
    result.assert_outcomes(passed=6, errors=3)
    result.stdout.fnmatch_lines(["app.User: 3 of 3 tests"])
    result = run(source, "-n1", "--weakly-leaks=app.Nobody", imports=IMPORTS)
    result.assert_outcomes(errors=6)


@slow_on_pypy
@other_plugin("pytest_asyncio")
def test_async_tests(run: Run) -> None:
    result = run(
        """
        import asyncio
        @pytest.fixture
        async def user():
            yield sign_in()
            users.clear()
        async def test_good(user):
            await asyncio.sleep(0, User())
        async def test_leak():
            await asyncio.sleep(0)
            sign_in()
        """,
        "-o",
        "asyncio_mode=auto",
    )
    result.assert_outcomes(passed=2, errors=1)
