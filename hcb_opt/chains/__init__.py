"""The step as a chain of blocks: partition, fronts, dynamic programme, realisation."""
