"""Benchmarks of weakly against `dict`/`set` and the standard library's `weakref`.

`python -m benchmarks`, from the repository's top, runs all of them, prints the table and
writes docs/benchmarks.md and docs/benchmarks.svg. The modules, in the order of the work:

    cases.py         the objects and the three sides that an operation is measured on
    calls.py         the same for cached calls
    observers.py     the same for listeners and deaths
    operations.py    what is measured: one line of Python for each operation
    worker.py        one process: times the three sides in turns, round after round
    results.py       the saved measurements (pyperf's JSON) and their ratios
    limits.py        what weakly promises, and whether the measurements keep it
    report.py        the table, on the terminal and as Markdown
    plot.py          the plot
    against_torch.py the identity dictionary beside that of PyTorch, where it is installed
    against_caches.py and against_signals.py: the same for caches and signals of other packages
    instructions.py  the same operations counted in instructions, for work on the C core
"""
