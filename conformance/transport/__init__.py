"""The rules for transports, a mixin for each part of the contract; `suite.py` puts them together."""
