"""One agent per file, each a `register(app)` with a chosen name and topic. An agent never raises: Faust would ack."""
