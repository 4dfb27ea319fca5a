"""Any folder or bucket as a remote: no server, no locks, no clocks."""
