"""Reports of runs: figures, tables and molecules in one HTML file that needs nothing else."""
