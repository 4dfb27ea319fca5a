"""The two contracts a plug-in author reads: the store and the transport."""
