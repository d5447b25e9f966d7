"""JSON Schemas (draft 2020-12) of the files that the toolkit reads and writes."""
