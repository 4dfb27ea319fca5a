"""Stores: where records, the operation queue and the cursors live on this device."""
