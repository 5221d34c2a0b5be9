"""Files of other programs: recognized, read in a confined process, stored as models."""
