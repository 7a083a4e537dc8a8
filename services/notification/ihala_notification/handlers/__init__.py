"""The use cases, one per file: what is done, in the words of the service, over ports."""
