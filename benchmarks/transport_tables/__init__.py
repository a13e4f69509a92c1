"""Small studies of couplings, each by one command with its table stored beside it."""
