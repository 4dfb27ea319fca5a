"""The wheel brings `tidesync` and nothing else, and the README's quick start runs on it."""

import re
import textwrap
from pathlib import Path

import pytest

from tests.packaging.installing import environment, run
from tests.packaging.tree import ROOT

pytestmark = pytest.mark.slow

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


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel, without extras, where nothing else is."""
    return environment(tmp_path_factory.mktemp("bare"), wheel)


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
