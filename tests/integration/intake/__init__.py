"""A package, so that its service stops with its last test: it would do others' cases in earnest."""
