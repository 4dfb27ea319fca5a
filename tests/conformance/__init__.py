"""The conformance suite, run on what there is here; and tests of the suite itself."""
