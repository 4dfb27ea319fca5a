"""The service: an authority on the web, for clients of Azure Mobile Apps 2.0, Datasync 3.0 and tidesync."""

from tidesync.transports.principal import ANYBODY, BeforeWrite, Principal
from tidesync.transports.service.app import create_app
from tidesync.transports.service.limits import Limits
from tidesync.transports.service.problems import Problem

__all__ = ["ANYBODY", "BeforeWrite", "Limits", "Principal", "Problem", "create_app"]
