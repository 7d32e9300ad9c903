"""The single-writer log: claims, the validity rule, reading, batch writing, and the partition engine. See README.md."""
