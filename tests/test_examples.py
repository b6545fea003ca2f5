"""Every example prints exactly what is recorded here."""

from __future__ import annotations

from textwrap import dedent

import pytest
from programs import EXAMPLES, output, python, weakly_run
from support import C_CORE

OUTPUTS = {
    "basic_reference": """\
        alive: Alice
        gone:  None
        """,
    "user_cache": """\
        loading Alice
        the same user: True
        in the cache:  ['Alice']
        in the cache:  []
        None
        loading Alice
        """,
    "proxy": """\
        Bob, child of Alice
        Bob, an orphan
        """,
    "death_callback": """\
        2 open
        a connection closed, 1 left
        a connection closed, 0 left
        """,
    "key_dictionary": """\
        button 2
        menu 1
        left: ['menu']
        """,
    "set_of_listeners": """\
        Alice hears: good morning
        Bob hears: good morning
        Alice hears: Bob has left
        1 listener
        """,
    "finalizer": """\
        cleaning up after the forgotten one
        cleaning up after the closed one
        still open: False
        the program ends
        cleaning up after the lasting one
        """,
    "drop_in": """\
        showing cat.png
        1 1 1
        closing cat.png
        0 0 0 None
        """,
    "parsed_files": """\
        the same source: True
        looking for hosts in servers.toml
        parsing servers.toml
        ['alpha', 'beta'] ['alpha', 'beta'] ['mail', 'web']
        the same source: False
        looking for hosts in servers.toml
        parsing servers.toml
        ['gamma'] was ['alpha', 'beta']
        2 sources, 2 lists of hosts
        1 source, 1 list of hosts
        """,
    "image_cache": """\
        painting cat
        painting dog
        painting bird
        3 images of 19200 bytes are kept
        painting poster
        4 images are found, 19200 bytes are kept
        the same poster: True
        poster has gone
        cat has gone
        ['bird', 'dog'] are kept, of 12800 bytes
        """,
    "handle_pool": """\
        MainThread: opening one.txt
        this is one
        pool cleaner: keeping one.txt
        this is one
        MainThread: opening two.txt
        this is two
        2 in use, 0 idle
        pool cleaner: keeping two.txt
        1 in use, 1 idle
        MainThread: closing one.txt
        MainThread: closing two.txt
        """,
    "identity_map": """\
        ['Alicia', 'Alina']
        the same object: True
        there is no customer 99
        queries: 3
        still the same object: True
        0 Alicia
        """,
    "model_view": """\
        apples come
          bars:  apples #####
          total: 7
        the bars are closed
          total: 9
        a whole column is pasted
          total: 6
        changed: apples pears plums nuts
        the sheet is kept by its signal: False
        """,
    "leaky_app": """\
        60 requests served, 60 displays hear of a new price
        """,
    "async_service": """\
        Alice heard tea 7, milk 2
        Bob heard tea 7, milk 2, tea 8, sugar 3
        Carol heard sugar 3 and missed 3
        still listening: False
        latest prices: {'tea': 8, 'milk': 2, 'sugar': 3}
        all sessions are closed: True
        """,
}

# The Python tables cannot tell that nothing else leads to the keys.
OUTPUTS["ephemerons"] = f"""\
        weakref keeps 100 closed documents
        weakly keeps {0 if C_CORE else 100}
        the open one is laid out on 3 pages
        """

OBJECT_GRAPH = """\
5001 nodes made, 3999 in the tree
11486 drawn, 26001 found by name
3999 sizes known, 0 to be drawn
5001 of 5001 handles given back
"""


def test_every_example_is_recorded():
    assert {path.stem for path in EXAMPLES.glob("*.py")} == {*OUTPUTS, "object_graph"}


@pytest.mark.parametrize("name", OUTPUTS)
def test_example(name):
    assert output(python(EXAMPLES / f"{name}.py")) == dedent(OUTPUTS[name])


@pytest.mark.parametrize("run", [python, weakly_run], ids=["on weakref", "on weakly"])
def test_object_graph(run):
    process = run(EXAMPLES / "object_graph.py", 2)
    assert process.returncode == 0
    assert process.stdout == OBJECT_GRAPH
    assert process.stderr.endswith(" seconds\n")
