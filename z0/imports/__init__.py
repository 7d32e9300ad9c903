"""
The file importer behind `z0 import`: a real client of the ledger, with no way in that others do not have.

    file --sources--> rows --fields, build--> commands --door (HTTP or Kafka)--> outcomes --tally--> report

Owns: the mapping language, the row readers, the two doors as a client sees them, the report.
Does not own: what a command comes to (`z0.domain`), the API's schemas (`api`), the worker.

An import may be interrupted and run again: ids and bodies of its commands depend on the file, the line and the mapping
only, and the shift of the event times is kept (`z0.imports.kept`), so a second run is answered with `repeated`.
"""
