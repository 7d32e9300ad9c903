"""Contract suites: the same laws for every implementation of a port."""
