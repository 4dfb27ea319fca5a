"""The room of the suite that authors of stores and transports will run; it holds no rules yet."""
