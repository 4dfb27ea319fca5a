"""Installs the npm packages of `server/` and of `client/` once, for all workers and all runs."""

import contextlib
import fcntl
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

SERVER = Path(__file__).with_name("server")
CLIENT = Path(__file__).with_name("client")
INSTALL_SECONDS = 900


def missing_tools() -> list[str]:
    """Return which of Node.js and npm are not on this machine."""
    return [tool for tool in ("node", "npm") if shutil.which(tool) is None]


def install(program: Path) -> Path:
    """Return a folder that holds the packages which a program's package.json names.

    The first call compiles sqlite3, which takes about a minute and needs a C++ compiler, `make` and the npm
    registry; others wait for it. The folder is named after the versions in package.json and those of Node.js:
    it is outside the tree, under TIDESYNC_PEERS or the user's cache. A failed install raises `RuntimeError`
    and leaves nothing behind.
    """
    cache = _cache()
    cache.mkdir(parents=True, exist_ok=True)
    folder = cache / _key(program)
    with _locked(cache / f"{folder.name}.lock"):
        if not folder.exists():
            with tempfile.TemporaryDirectory(prefix="unfinished-", dir=cache) as unfinished:
                fresh = Path(unfinished) / "packages"
                fresh.mkdir()
                _npm_install(program, fresh)
                fresh.rename(folder)
    return folder


def _cache() -> Path:
    chosen = os.environ.get("TIDESYNC_PEERS")
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tidesync" / "peers"


def _key(program: Path) -> str:
    versions = subprocess.run(["node", "-p", "process.versions.modules"], capture_output=True, check=True)
    parts = (
        (program / "package.json").read_bytes(),
        versions.stdout,
        platform.system().encode(),
        platform.machine().encode(),
    )
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _npm_install(program: Path, folder: Path) -> None:
    shutil.copy(program / "package.json", folder)
    names = json.loads((program / "package.json").read_bytes())["dependencies"]
    probe = "; ".join(f"require({json.dumps(name)})" for name in names)
    npm = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--prefer-offline"]
    _run([*npm, "--foreground-scripts"], folder, _build_environment())
    _run(["node", "-e", probe], folder, dict(os.environ))


def _build_environment() -> dict[str, str]:
    """Return an environment in which sqlite3 builds with what is on the machine.

    Node.js comes with its own headers; without being told, node-gyp would download them.
    """
    environment = dict(os.environ) | {"npm_config_python": sys.executable, "npm_config_jobs": "2"}
    prefix = Path(shutil.which("node") or "").resolve().parents[1]
    if (prefix / "include" / "node" / "node_api.h").exists():
        environment.setdefault("npm_config_nodedir", str(prefix))
    return environment


def _run(command: list[str], folder: Path, environment: dict[str, str]) -> None:
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=INSTALL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(f"{command[0]} did not end in {INSTALL_SECONDS} seconds") from error
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-4000:]}")
