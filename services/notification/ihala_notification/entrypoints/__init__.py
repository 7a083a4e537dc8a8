"""The doors: topics and HTTP, turned into the words of the handlers."""
