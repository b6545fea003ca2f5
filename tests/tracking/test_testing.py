"""`assert_collected`, `collect_until` and the mixin for `unittest`."""

from __future__ import annotations

import asyncio
import gc
import threading
import unittest
import weakref
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from support import PYPY, Thing, gc_collect_harder, slow_on_pypy

from weakly import EphemeronDictionary, ReferenceQueue
from weakly.testing import LeakTestMixin, assert_collected, collect_until, collect_until_async

pytestmark = slow_on_pypy


class Page:
    def __init__(self, *others: object) -> None:
        self.others: list[Any] = list(others)


class SubPage(Page):
    def __init__(self) -> None:
        pass  # without that of its base


pages: list[Any] = []  # what a program forgets


@pytest.fixture(autouse=True)
def _forget_pages() -> Any:
    pages.clear()
    yield
    pages.clear()


def keep() -> Page:
    pages.append(Page())
    return pages[-1]  # type: ignore[no-any-return]


def failure(run: Callable[[], object]) -> str:
    """The text with which it fails."""
    with pytest.raises(AssertionError) as info:
        run()
    return str(info.value)


def test_for_one_block() -> None:
    page = Page()
    check = assert_collected(page)
    with check:
        del page
    with pytest.raises(RuntimeError, match="for one block"), check:
        pass


# ------------------------------------------------------------------- of an object


def test_an_object_that_goes() -> None:
    page = Page()
    with assert_collected(page) as check:
        assert [reference() for reference in check.references] == [page]
        del page


def test_a_cycle_is_no_leak() -> None:
    page = Page()
    page.others.append(page)
    with assert_collected(page):
        del page


def test_also_while_the_collector_is_disabled() -> None:
    gc.disable()
    test_a_cycle_is_no_leak()


def test_an_entry_of_an_ephemeron_table_is_no_leak() -> None:
    if PYPY:
        pytest.skip("the Python tables cannot collect ephemerons")
    table: Any = EphemeronDictionary()
    page = Page()
    table[page] = Page()
    with assert_collected(page, table[page]):
        del page


def test_the_holder_is_named() -> None:
    page = keep()

    def run() -> None:
        nonlocal page
        with assert_collected(page):
            page = None  # type: ignore[assignment]

    text = failure(run)
    assert text.startswith(f"1 object was not collected\n\n{__name__}.Page at 0x")
    assert f"{__name__}.pages[0]" in text
    assert "variable" not in text


def test_the_own_variable_is_named() -> None:
    def run() -> None:
        page = Page()
        with assert_collected(page):
            pass

    text = failure(run)
    assert "The variable 'page' of " in text
    assert "run() at test_testing.py:" in text
    assert "end the block with `del page`" in text


def test_the_own_variable_that_is_shared_with_a_function() -> None:
    def run() -> None:
        page = Page()

        def use() -> Page:
            return page

        with assert_collected(page):
            pass
        use()

    assert "The variable 'page' of " in failure(run)


def test_several_objects() -> None:
    one, two = Page(), keep()
    with pytest.raises(AssertionError, match="1 object was not"), assert_collected(one, two):
        del one, two
    pages.extend([Page(), {"more": Page()}])
    one, two, three = pages[0], pages[1], pages[2]["more"]
    with pytest.raises(AssertionError) as info, assert_collected(one, two, three):
        del one, two, three
    text = str(info.value)
    assert text.startswith("3 objects were not collected")
    assert "pages[0]" in text
    assert "pages[1]" not in text  # held in the same way
    assert "['more']" in text
    assert text.endswith("... and 1 more")


def test_an_error_keeps_nothing_alive() -> None:
    page = keep()
    watch = weakref.ref(page)
    with pytest.raises(AssertionError) as info, assert_collected(page):
        del page
    pages.clear()
    gc_collect_harder()
    assert watch() is None
    assert info.value.__traceback__ is not None


def test_an_exception_goes_on_as_it_is() -> None:
    error = KeyError("mine")
    page = Page()
    with pytest.raises(KeyError) as info, assert_collected(page, Page):
        raise error
    assert info.value is error
    assert error.__context__ is None
    assert "__weakly" not in repr(vars(Page)["__init__"].__code__)
    with assert_collected(page):  # whose traceback has held it
        del page, info
        error.__traceback__ = None


def test_an_exception_that_was_caught_in_the_block() -> None:
    def fail(page: Page) -> None:
        raise KeyError(page.others)

    with assert_collected(Page):
        with suppress(KeyError):
            fail(Page())
        with pytest.raises(KeyError):
            fail(Page())


def test_the_timeout() -> None:
    page = keep()
    timer = threading.Timer(0.1, pages.clear)
    timer.start()
    with assert_collected(page, timeout=20):
        del page
    timer.join()


@pytest.mark.parametrize("target", [1, "text", (), None], ids=repr)
def test_what_cannot_be_weakly_referenced(target: Any) -> None:
    with pytest.raises(TypeError, match=f"'{type(target).__name__}' object"):
        assert_collected(target)


def test_nothing_to_look_at() -> None:
    with pytest.raises(TypeError, match="at least one"):
        assert_collected()


# ---------------------------------------------------------------------- of a class


def test_all_instances_of_a_class() -> None:
    before = Page()
    init = Page.__init__
    with assert_collected(Page):
        assert Page.__init__ is not init
        page = Page(Page(), SubPage())
        page.others.append(page)
        del page
    assert Page.__init__ is init
    assert before


@pytest.mark.parametrize(
    "make", [Page, SubPage, lambda: Page.__new__(Page)], ids=["", "sub", "new"]
)
def test_an_instance_that_stays(make: Callable[[], Page]) -> None:
    def run() -> None:
        with assert_collected(Page):
            pages.append(make())

    text = failure(run)
    assert "1 object was not collected" in text
    assert f"{__name__}.pages[0]" in text


def test_who_has_made_the_instance_is_said() -> None:
    def run() -> None:
        with assert_collected(Page):
            keep()

    assert "made by keep() at test_testing.py:" in failure(run)


def test_a_class_whose_instances_cannot_be_weakly_referenced() -> None:
    class Bare:
        __slots__ = ()

    if PYPY:
        pytest.skip("there is nothing that tells")
    for cls in (Bare, int, tuple):
        with pytest.raises(TypeError, match=f"{cls.__name__}' objects"):
            assert_collected(cls)


def test_a_class_written_in_c() -> None:
    with assert_collected(ReferenceQueue):
        ReferenceQueue[int]()
    with pytest.raises(AssertionError), assert_collected(ReferenceQueue):
        pages.append(ReferenceQueue[int]())


def test_the_class_itself() -> None:
    class Local:
        pass

    with assert_collected(weakref.ref(Local)):
        del Local


# ------------------------------------------------------------------- of a function


def test_what_a_function_returns() -> None:
    with assert_collected(keep) as check:
        assert check.references[0]() is pages[0]
        pages.clear()
    with assert_collected(lambda: Page()):
        pass
    with pytest.raises(AssertionError, match=r"pages\[0\]"), assert_collected(keep):
        pass
    with assert_collected(partial(Page, 1), partial(Page, 2)) as check:
        assert len(check.references) == 2


def test_what_a_method_returns() -> None:
    class Book:
        def __init__(self) -> None:
            self.pages: list[Page] = []

        def open(self) -> Page:
            self.pages.append(Page())
            return self.pages[-1]

    book = Book()
    with assert_collected(book.open):
        book.pages.clear()
    with pytest.raises(AssertionError, match=r"book\.pages\[0\]"), assert_collected(book.open):
        pass


def test_a_function_that_returns_nothing() -> None:
    message = r"the 'NoneType' object that list\.clear has returned"
    with pytest.raises(TypeError, match=message), assert_collected(pages.clear):
        raise AssertionError("not reached")


def test_an_async_function_needs_async_with() -> None:
    async def make() -> Page:
        return Page()

    with pytest.raises(TypeError, match="make returns a coroutine"), assert_collected(make):
        raise AssertionError("not reached")


def test_a_callable_object_is_an_object() -> None:
    class Callable_:
        def __call__(self) -> None:
            raise AssertionError("called")

    one = Callable_()
    with assert_collected(one):
        del one


# -------------------------------------------------------------------- collect_until


def test_collect_until() -> None:
    page = Page()
    page.others.append(page)
    reference = weakref.ref(page)
    del page
    collect_until(reference)
    collect_until(reference, 0)


def test_collect_until_another_thread_has_done() -> None:
    page = keep()
    reference = weakref.ref(page)
    del page
    timer = threading.Timer(0.1, pages.clear)
    timer.start()
    collect_until(reference, timeout=20)
    timer.join()


def test_collect_until_the_time_is_over() -> None:
    reference = weakref.ref(keep())
    assert f"{__name__}.pages[0]" in failure(lambda: collect_until(reference, timeout=0.01))


def test_collect_until_of_a_variable() -> None:
    def run() -> None:
        page = Page()
        collect_until(weakref.ref(page), 0)

    assert "`del page` before" in failure(run)


def test_collect_until_wants_a_reference() -> None:
    for wrong in (Page(), Page, None):
        with pytest.raises(TypeError, match="a weak reference is required"):
            collect_until(wrong)  # type: ignore[arg-type]


# ---------------------------------------------------------------------------- async


async def hold(page: Page) -> None:
    for _ in range(2):
        await asyncio.sleep(0)


def test_tasks_have_their_turns() -> None:
    async def main() -> None:
        page = Page()
        task = asyncio.create_task(hold(page))
        async with assert_collected(page):
            del page
        await task
        page = Page()
        task = asyncio.create_task(hold(page))
        reference = weakref.ref(page)
        del page
        await collect_until_async(reference)
        await task

    asyncio.run(main())


def test_async_functions_and_classes() -> None:
    async def make() -> Page:
        await asyncio.sleep(0)
        return Page()

    async def main() -> None:
        async with assert_collected(make, Page):
            await make()
        with pytest.raises(AssertionError, match=r"pages\[0\]"):
            async with assert_collected(Page):
                keep()
        reference = weakref.ref(pages[0])
        with pytest.raises(AssertionError, match=r"pages\[0\]"):
            await collect_until_async(reference, 0.01)
        with pytest.raises(KeyError):
            async with assert_collected(Page):
                raise KeyError

    asyncio.run(main())


def test_a_task_that_does_not_end() -> None:
    async def wait(page: Page) -> None:
        await asyncio.sleep(1000)

    async def main() -> None:
        page = Page()
        task = asyncio.create_task(wait(page))
        try:
            async with assert_collected(page):
                del page
        finally:
            task.cancel()

    assert "wait" in failure(lambda: asyncio.run(main()))


# -------------------------------------------------------------------------- unittest


def results(case: type[unittest.TestCase]) -> dict[str, str]:
    """How each test of a case ends: the text of its failure, or nothing."""
    suite = unittest.defaultTestLoader.loadTestsFromTestCase(case)
    result = unittest.TestResult()
    names = [test.id().rpartition(".")[2] for test in suite]  # type: ignore[union-attr]
    suite.run(result)
    found = dict.fromkeys(names, "")
    for test, text in [*result.failures, *result.errors]:
        found[test.id().partition(" ")[0].rpartition(".")[2]] += text
    return found


def test_the_attribute_of_a_case() -> None:
    class Case(LeakTestMixin, unittest.TestCase):
        no_leaks = (Page,)

        def setUp(self) -> None:
            self.page = Page()
            self.addCleanup(lambda: self.page.others.append(self))

        def test_good(self) -> None:
            self.other = Page(self.page)

        def test_leak(self) -> None:
            keep()

        def test_failing(self) -> None:
            page = keep()
            assert page is None

        @unittest.expectedFailure
        def test_expected(self) -> None:
            page = keep()
            assert page is None

        def test_failing_subtest(self) -> None:
            with self.subTest():
                page = keep()
                assert page is None

        def test_skipped(self) -> None:
            keep()
            self.skipTest("")

        def test_subtests(self) -> None:
            for number in range(3):
                with self.subTest(number):
                    Page()

    found = results(Case)
    assert [name for name, text in found.items() if text] == [
        "test_failing",
        "test_failing_subtest",
        "test_leak",
    ]
    assert f"{__name__}.pages[" in found["test_leak"]
    assert "made by" in found["test_leak"]
    assert "not collected" not in found["test_failing"] + found["test_failing_subtest"]
    assert vars(Page)["__init__"].__code__.co_filename == __file__


def test_the_methods_of_a_case() -> None:
    class Case(LeakTestMixin, unittest.TestCase):
        def test_object(self) -> None:
            page = Page()
            with self.assertCollected(page):
                del page

        def test_class(self) -> None:
            with self.assertNoLeaks(Page, Thing):
                Page()

        def test_leak(self) -> None:
            with self.assertNoLeaks(Page):
                keep()

        def test_wrong(self) -> None:
            with pytest.raises(TypeError):
                self.assertNoLeaks(Page())  # type: ignore[arg-type]

    found = results(Case)
    assert [name for name, text in found.items() if text] == ["test_leak"]


def test_one_class_of_a_case() -> None:
    class Case(LeakTestMixin, unittest.TestCase):
        no_leaks = Page

        def test_leak(self) -> None:
            keep()

    assert "not collected" in results(Case)["test_leak"]


def test_a_test_that_is_skipped_leaves_the_class_as_it_was() -> None:
    class Case(LeakTestMixin, unittest.TestCase):
        no_leaks = Page

        @unittest.skip("as told")
        def test_skipped(self) -> None:
            pass

    assert results(Case) == {"test_skipped": ""}
    assert vars(Page)["__init__"].__code__.co_filename == __file__


def test_the_mixin_stands_first() -> None:
    class Base(LeakTestMixin):
        pass

    for case in (unittest.TestCase, unittest.IsolatedAsyncioTestCase):
        type("Case", (Base, case), {})
        with pytest.raises(TypeError, match="before the TestCase"):
            type("Case", (case, Base), {})


def test_an_async_case() -> None:
    class Case(LeakTestMixin, unittest.IsolatedAsyncioTestCase):
        no_leaks = (Page,)

        async def asyncSetUp(self) -> None:
            self.page = Page()

        async def test_good(self) -> None:
            async with self.assertCollected(Page):
                await hold(Page())

        async def test_leak(self) -> None:
            keep()

    found = results(Case)
    assert [name for name, text in found.items() if text] == ["test_leak"]


def test_import_needs_no_test_framework() -> None:
    from support import check_runs

    out = check_runs("""
        import sys, weakly.testing
        print([name for name in ("pytest", "unittest", "asyncio") if name in sys.modules])
    """)
    assert out == "[]\n"
