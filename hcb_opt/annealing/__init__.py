"""Simulated annealing over sequences with recomputes, in the stored order or in any."""
