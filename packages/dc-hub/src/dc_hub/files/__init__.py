"""The file system as the hub sees it: safe names, guarded opening, durable writing, leases."""
