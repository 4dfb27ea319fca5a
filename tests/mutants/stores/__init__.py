"""Broken stores."""
