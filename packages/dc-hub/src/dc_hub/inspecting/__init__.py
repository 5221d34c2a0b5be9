"""Looking at stored models without changing them."""
