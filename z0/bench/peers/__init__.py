"""What one would use instead, with the same work: a Postgres function, Kafka Streams, Faust as its documentation teaches."""
