"""The rules for stores, a mixin for each part of the contract; `suite.py` puts them together."""
