"""Broken transports, and remotes behind them."""
