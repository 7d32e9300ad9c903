"""
ClickHouse on one machine, without a server: `chdb` behind ClickHouse's HTTP interface.

Owns: one data folder, and what clients may ask of it over HTTP.
Does not own: tables (`sinks.clickhouse` creates its own), starting and stopping (the stack does).

For one machine only, one process per data folder. It is not a stand-in for replication: there is one copy of
the data, an acknowledged insert survives the death of the process but is not synced against loss of power,
and nothing here speaks to another server. Production gives the address of a real ClickHouse instead.
"""
