"""The C core as an optional extension; everything else is in pyproject.toml.

A user without a compiler gets the Python tables and a message. Builds that must not
fall back in silence (CI, wheels, this repository's own) set WEAKLY_REQUIRE_C=1, which
turns a failed build, and every compiler warning, into an error.
"""

import os
import sys

from setuptools import Extension, setup

required = os.environ.get("WEAKLY_REQUIRE_C") == "1"
arguments = []
if sys.platform != "win32":
    arguments += ["-std=c11", "-fvisibility=hidden", "-O3"]
    if required:
        arguments += ["-Wall", "-Wextra", "-Wconversion", "-Werror"]
arguments += os.environ.get("WEAKLY_CFLAGS", "").split()

core = Extension(
    "weakly._core",
    sources=["src/core/module.c"],
    depends=[os.path.join("src/core", name) for name in sorted(os.listdir("src/core"))],
    extra_compile_args=arguments,
    extra_link_args=os.environ.get("WEAKLY_LDFLAGS", "").split(),
    optional=not required,
)

setup(ext_modules=[core] if sys.implementation.name == "cpython" else [])
