"""The wheel of tidesync, built once."""

from pathlib import Path

import pytest

from tests.packaging.installing import build, copy
from tests.packaging.tree import ROOMS, ROOT


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from a copy of the tree: setuptools would leave its own folders in the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    copy((*ROOMS, "pyproject.toml", "README.md", "LICENSE"), ROOT, folder / "source")
    return build(folder / "source", folder)
