"""The archive: every record of the log in Parquet on S3, in sealed ranges that prove themselves. Outlives the log."""
