"""The fixtures of the service's own tests."""

from tests.transports.service.conftest import host, serve

__all__ = ["host", "serve"]
