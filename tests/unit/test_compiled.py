"""The compiled kernel: that it is in use, that nothing in it is lost by compiling, that an old one is noticed."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from z0 import compiled

SAY = """
import z0.domain.fold as f, z0.compiled as c
from z0.config import from_env
print(f.__file__.endswith('.py'), c.is_in_use(), from_env().compiled)
"""


@pytest.mark.skipif(not os.environ.get("CI"), reason="a machine without a C compiler runs the sources")
def test_in_ci_the_kernel_is_compiled() -> None:
    """Or the tests would all be of the sources, and nobody would notice."""
    assert [module for module in compiled.MODULES if not compiled.compiled(module).exists()] == []


def test_the_switch_runs_the_sources() -> None:
    """In a process of its own: what is imported stays imported. The commands take it for a setting, not for a misspelt one."""
    given = {**os.environ, compiled.SWITCH: "0"}
    done = subprocess.run([sys.executable, "-c", SAY], env=given, capture_output=True, text=True, check=True)
    assert done.stdout == "True False 0\n"


def test_no_compiled_module_has_a_class_that_msgspec_reads() -> None:
    """Compiling drops the keywords of its class line (`frozen`, `omit_defaults`, `gc`) without a word."""
    found = []
    for module in compiled.MODULES:
        for node in ast.walk(ast.parse(compiled.source(module).read_text())):
            if isinstance(node, ast.ClassDef) and (node.keywords or "Struct" in map(ast.unparse, node.bases)):
                found.append(f"{module}.{node.name}")
    assert found == []


def test_a_source_that_is_newer_than_its_compiled_form_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The compiled form would be imported, and what was changed would have no effect."""
    monkeypatch.setattr(compiled, "ROOT", tmp_path)
    monkeypatch.setattr(compiled, "MODULES", ("a", "b", "c"))
    monkeypatch.delenv(compiled.SWITCH, raising=False)
    for n, module in enumerate(("a", "b")):
        compiled.source(module).touch()
        compiled.compiled(module).touch()
        os.utime(compiled.source(module), (100 * n, 100 * n))
        os.utime(compiled.compiled(module), (50, 50))
    compiled.source("c").touch()
    assert compiled.stale() == ["b"]
    monkeypatch.setenv(compiled.SWITCH, "0")
    assert compiled.stale() == []
