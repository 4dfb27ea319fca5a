"""The service: an authority on the web, for clients of Azure Mobile Apps 2.0, Datasync 3.0 and tidesync."""

from tidesync.errors import MissingExtra

try:
    import starlette as _starlette
except ImportError as error:
    raise MissingExtra("starlette", "service") from error

from tidesync.transports.principal import ANYBODY, BeforeWrite, Principal, conflicts
from tidesync.transports.service.access import Authorize, bearer
from tidesync.transports.service.app import App, create_app
from tidesync.transports.service.limits import Limits
from tidesync.transports.service.problems import Problem

__all__ = [
    "ANYBODY",
    "App",
    "Authorize",
    "BeforeWrite",
    "Limits",
    "Principal",
    "Problem",
    "bearer",
    "conflicts",
    "create_app",
]

del _starlette
