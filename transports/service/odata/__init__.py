"""OData text to the query AST, in both dialects: filters, orders and selections, each error with its place."""

from tidesync.transports.service.odata.filters import parse_filter
from tidesync.transports.service.odata.names import parse_order, parse_select
from tidesync.transports.service.odata.tokens import FilterError

__all__ = ["FilterError", "parse_filter", "parse_order", "parse_select"]
