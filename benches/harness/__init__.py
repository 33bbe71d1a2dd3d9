"""The parts of scripts/bench, which says how to use it."""
