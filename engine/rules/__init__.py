"""Pure rules: values in, values out; no clock, randomness, I/O, logging or threads."""
