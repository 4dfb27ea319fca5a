"""What tests/api shows of the synchronous face, shown of the asyncio face: the same tests, behind the same words."""

import importlib
from types import CodeType
from typing import Any, Final

MODULES: Final = (
    "atomicity", "bad_input", "collapsing", "conflicts", "events", "operations", "policies", "pull_options", "pulling",
    "purging", "push_errors", "pushing", "remote_tables", "resolving", "threads", "writing",
)  # fmt: skip
OTHERWISE: Final = {
    "test_other_threads_wait_for_a_batch": "reads of other tasks wait too: there is one thread for transactions",
    "test_events_come_after_the_commit_on_the_calling_thread": "they come on the event loop, whoever caused them",
    "test_a_subscriber_may_use_the_context": "on a loop it begins a task for that",
    "test_a_transport_may_close_the_context_that_closes_it": "here it would be another task, see test_loops.py",
}
"""What is said of threads only, and why."""


def names_of(code: CodeType) -> set[str]:
    """The global names that a function uses, its inner functions too."""
    inner = [names_of(each) for each in code.co_consts if isinstance(each, CodeType)]
    return set(code.co_names).union(*inner)


def shown(module: str) -> type[Any]:
    """The tests of a module that make their devices in the world that they are given."""
    found = vars(importlib.import_module(f"tests.api.test_{module}"))
    tests = {
        name: staticmethod(test)
        for name, test in found.items()
        if name.startswith("test_")
        and name not in OTHERWISE
        and {"world", "ctx"} & set(test.__code__.co_varnames[: test.__code__.co_argcount])
        and "SyncContext" not in names_of(test.__code__)
    }
    return type(
        f"Test{module.title().replace('_', '')}", (), {"__doc__": f"As in test_{module}.py.", **tests}
    )


def test_what_is_left_out_is_there() -> None:
    """Each name that is left out is one of a test."""
    found = {name for each in MODULES for name in vars(importlib.import_module(f"tests.api.test_{each}"))}
    assert set() == OTHERWISE.keys() - found


for _module in MODULES:
    _made = shown(_module)
    globals()[_made.__name__] = _made
