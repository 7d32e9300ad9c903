"""The house stays tidy: sizes, words, imports, and pages that say what is there."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import tables

ROOT = Path(__file__).parents[2]
PRODUCT = ("z0", "streams", "tables", "sinks", "api")
FUNCTION_LINES_MAX, MODULE_LINES_MAX, LINE_CHARACTERS_MAX = 70, 500, 130


def sources(*folders: str) -> list[Path]:
    """The Python files of some folders."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def trees(*folders: str) -> Iterator[tuple[Path, ast.Module]]:
    """Their syntax trees."""
    for path in sources(*folders):
        yield path.relative_to(ROOT), ast.parse(path.read_text())


def test_functions_are_short() -> None:
    """What does not fit a screen is two functions."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    long = [
        f"{path}:{node.lineno} {node.name} has {size} lines"
        for path, tree in trees(*PRODUCT)
        for node in ast.walk(tree)
        if isinstance(node, kinds) and (size := (node.end_lineno or 0) - node.lineno + 1) > FUNCTION_LINES_MAX
    ]
    assert long == []


def code_of(line: str) -> str:
    """A line without its word to a tool, as ruff counts it."""
    return line.partition("  # noqa")[0].partition("  # type: ignore")[0]


def test_modules_are_short_and_lines_fit() -> None:
    """One file, one matter."""
    found = []
    for path in sources(*PRODUCT, "tests"):
        lines = path.read_text().splitlines()
        found += [f"{path} has {len(lines)} lines"] if len(lines) > MODULE_LINES_MAX else []
        found += [f"{path}:{n}" for n, line in enumerate(lines, 1) if len(code_of(line)) > LINE_CHARACTERS_MAX]
    assert found == []


BOUND = re.compile(r"_(MAX|BATCH|ENTITIES)$|(^|_)MAX_|(^|_)TIMEOUT_|_WITHIN_")
NO_PRODUCT = {"sim", "bench", "demo"}
# Nobody meets them: they follow from bounds that stand on the page, or say how long something is waited for that is tried again.
BEHIND_THE_PAGE = set(
    """
    AMOUNT_CHARS_MAX ANSWER_TIMEOUT_S BATCH_MAX BEAT_MAX_S BROKER_TIMEOUT_MS CLOSE_TIMEOUT_S CONTEXTS_MAX COUNT_DIGITS_MAX
    EXAMPLES_MAX FETCH_MAX_WAIT_MS FROM_HEAP_BYTES_MAX HASHED_BYTES_MAX LETTER_KEY_BYTES_MAX LIMITS_IN_FORCE_MAX
    METADATA_TIMEOUT_S MIGRATE_WITHIN_S PING_TIMEOUT_S RECLAIM_DOUBLINGS_MAX RECORDS_BYTES_MAX RECORDS_MAX REQUEST_TIMEOUT_MS
    REQUEST_TIMEOUT_S SEQ_DIGITS_MAX SHOWN_MAX SHOW_TIMEOUT_S SOCKET_PATH_MAX STARTS_MAX STARTS_WITHIN_S STATEMENT_TIMEOUT_MS
    STRETCH_BYTES_MAX TIMEOUT_MS TIMESTAMP_MAX UNITS_MAX
    """.split()
)


def bounds() -> Iterator[tuple[str, str, list[str]]]:
    """Where each bound is, its name, and its lines with the one above."""
    for path, tree in trees(*PRODUCT):
        lines = (ROOT / path).read_text().splitlines()
        for node in tree.body if not NO_PRODUCT & set(path.parts) else ():
            name = node.target if isinstance(node, ast.AnnAssign) else node.targets[0] if isinstance(node, ast.Assign) else None
            if isinstance(name, ast.Name) and name.id.isupper() and BOUND.search(name.id):
                yield f"{path}:{node.lineno}", name.id, lines[node.lineno - 2 : node.end_lineno]


def test_every_bound_has_its_reason_beside_it() -> None:
    """A number without one can be neither kept nor changed: behind it, or in a comment above."""
    bare = [f"{at} {name}" for at, name, (above, *own) in bounds() if not above.startswith("#") and "  # " not in own[-1]]
    assert bare == []


def test_every_bound_that_somebody_meets_is_on_the_page_of_limits() -> None:
    """Whoever runs into one looks there."""
    page, names = (ROOT / "z0/reference/limits.py").read_text(), {name for _, name, _ in bounds() if not name.startswith("_")}
    assert sorted(name for name in names - BEHIND_THE_PAGE if not re.search(rf"\b{name}\b", page)) == []
    assert sorted(BEHIND_THE_PAGE - names) == []


@pytest.mark.parametrize(
    "folder",
    [
        "z0/domain",
        "z0/log",
        "z0/client",
        "z0/configs",
        "z0/receipts",
        "z0/stack",
        "z0/reference",
        "z0/sim",
        "streams",
        "tables",
        "sinks",
        "api",
    ],
)
def test_every_room_says_what_it_owns(folder: str) -> None:
    """And what it does not."""
    text = (ROOT / folder / "README.md").read_text().lower()
    assert "own" in text
    assert "not own" in text


@pytest.mark.parametrize("folder", ["z0/domain", "z0/codec.py", "z0/log/snapshot.py", "tables"])
def test_no_float_is_near_money(folder: str) -> None:
    """Neither a literal nor a conversion: 0.1 + 0.2 is not 0.3."""
    paths = sources(folder) or [ROOT / folder]
    found = [
        f"{path}:{node.lineno}"
        for path in paths
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.Constant) and isinstance(node.value, float))
        or (isinstance(node, ast.Name) and node.id == "float")
    ]
    assert found == []


def test_the_domain_has_no_clock_no_chance_and_no_outside() -> None:
    """A replay must come to the same: time and chance enter as values."""
    allowed = {"collections", "decimal", "enum", "functools", "heapq", "itertools", "operator", "re", "typing"}
    allowed |= {"msgspec", "mypy_extensions"}
    found = []
    for path, tree in trees("z0/domain"):
        for node in ast.walk(tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            found += [f"{path}: {n}" for n in names if n.split(".")[0] not in allowed and not n.startswith("z0.domain")]
    assert found == []


def texts() -> Iterator[tuple[Path, str]]:
    """Product code and pages."""
    endings = {".py", ".md", ".sql", ".toml", ".yml", ".yaml", ".json", ".sh", ".xml"}
    pages = [
        ROOT / name
        for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "pyproject.toml", "docker-compose.yml", "Makefile")
    ]
    for folder in (*PRODUCT, "docs", "ops", "examples", "scripts"):
        pages += [path for path in (ROOT / folder).rglob("*") if path.suffix in endings and "node_modules" not in path.parts]
    for path in pages:
        if path.is_file():
            yield path.relative_to(ROOT), path.read_text()


WORDS = [
    (r"\bTO" + r"DO\b", "what is to be done stands in an issue"),
    (r"\bFIX" + r"ME\b", "what is to be done stands in an issue"),
    (r"\bsession" + r" \d", "how the work was divided is nobody's business"),
    (r"/(?:work|root|home/\w+|Users/\w+)/", "a path of one machine"),
    (r"(?:pypi|registry|artifactory|nexus|mirror)[\w.-]*\.(?:internal|corp|local|lan)\b", "a registry of one network"),
]


@pytest.mark.parametrize(("pattern", "why"), WORDS, ids=[why for _, why in WORDS])
def test_product_and_pages_are_free_of_words_that_do_not_belong(pattern: str, why: str) -> None:
    """They are read by people elsewhere."""
    found = [f"{path}: {match[0]}" for path, text in texts() for match in re.finditer(pattern, text)]
    assert found == [], why


def test_the_package_tables_is_ours() -> None:
    """PyTables has the same import name; with it installed, a worker would import the wrong one."""
    assert Path(str(tables.__file__)).parent == ROOT / "tables"
    locked = {package["name"] for package in tomllib.loads((ROOT / "uv.lock").read_text())["package"]}
    assert "tables" not in locked


def test_every_dependency_has_its_reason_on_the_page() -> None:
    """docs/dependencies.md says why each one is here."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    lists = [project["project"]["dependencies"], *project["project"]["optional-dependencies"].values()]
    lists += project["dependency-groups"].values()
    names = {re.split(r"[<>=\[ ;]", item)[0] for items in lists for item in items if isinstance(item, str)}
    page = (ROOT / "docs" / "dependencies.md").read_text()
    assert sorted(name for name in names if not re.search(rf"\b{re.escape(name)}\b", page)) == []


def test_the_name_of_every_test_reads_as_a_sentence() -> None:
    """Whoever sees it fail should know what is wrong without reading it."""
    silent = [
        f"{path}:{node.lineno} {node.name}"
        for path, tree in trees("tests")
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
        if node.name.count("_") < 2
    ]
    assert silent == []
