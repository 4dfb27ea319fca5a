"""The wheel brings `tidesync` and nothing else, and the README's quick start runs on it."""

import os
import re
import shutil
import subprocess
import sys
import textwrap
import venv
from pathlib import Path

import pytest

from tests.packaging.tree import ROOMS, ROOT

pytestmark = pytest.mark.slow

SHIPPED = (*ROOMS, "pyproject.toml", "README.md", "LICENSE")
REQUIRED = {
    "anyio",
    "apsw",
    "attr",
    "attrs",
    "cattr",
    "cattrs",
    "certifi",
    "h11",
    "httpcore",
    "httpx",
    "idna",
}
REQUIRED |= {"typing_extensions", "tidesync"}


def run(*command: object, cwd: Path) -> str:
    """Run a command away from the checkout and return what it printed; on failure show it all."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command[0]}\n{done.stdout}"
    return done.stdout


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from a copy of the tree and install it, without extras, where nothing else is."""
    folder = tmp_path_factory.mktemp("wheel")
    source, environment = folder / "source", folder / "environment"
    source.mkdir()
    for name in SHIPPED:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, source / name, ignore=ignored)
        elif (ROOT / name).exists():
            shutil.copy(ROOT / name, source / name)
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, source, cwd=folder)
    (wheel,) = folder.glob("*.whl")

    venv.create(environment, with_pip=False, symlinks=os.name != "nt")
    python = environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    pip = (sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check")
    run(*pip, "install", "--quiet", "--constraint", ROOT / "constraints.txt", wheel, cwd=folder)
    return python


def test_only_tidesync_and_what_it_requires_reach_site_packages(python: Path) -> None:
    script = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site_packages = Path(run(python, "-c", script, cwd=python.parent).strip())

    installed = {path.name.split(".")[0] for path in site_packages.iterdir() if path.suffix != ".dist-info"}

    assert installed - {"__pycache__"} <= REQUIRED
    assert "tidesync" in installed
    assert (site_packages / "tidesync" / "py.typed").exists()


def test_the_quick_start_of_the_readme_runs(python: Path, tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    found = re.search(r"^#+ +Quick start\b.*?^([ ]*)```python\n(.*?)^\1```", readme, re.M | re.S | re.I)
    assert found, "README.md has no ```python block after a heading 'Quick start'"
    script = tmp_path / "quick_start.py"
    script.write_text(textwrap.dedent(found[2]), "utf-8")

    run(python, "-W", "error", script, cwd=tmp_path)
