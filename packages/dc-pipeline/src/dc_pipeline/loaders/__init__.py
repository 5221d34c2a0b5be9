"""Read files of data: every row is in the dataset or in the failure report."""
