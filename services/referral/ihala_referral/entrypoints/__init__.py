"""Where messages, requests and the clock come in; each owns its transaction."""
