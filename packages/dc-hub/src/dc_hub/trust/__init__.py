"""Who vouches for a model, and whom the user trusts: keys, signatures and the trust policy."""
