"""The suite over HTTP: the transport against tidesync's service on each protocol, and against the npm server."""
