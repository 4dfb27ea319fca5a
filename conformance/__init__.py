"""The suite that authors of stores and transports run against their own."""
