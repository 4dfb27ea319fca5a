"""SQL text and encodings that every SQL store shares; nothing here connects to anything."""
