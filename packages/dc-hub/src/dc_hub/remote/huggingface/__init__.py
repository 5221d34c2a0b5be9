"""Hubs in Hugging Face's hub, or at any endpoint that serves its interface."""
