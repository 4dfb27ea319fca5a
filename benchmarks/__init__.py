"""What tidesync costs, as ratios to a bare floor that is measured in the same run."""
