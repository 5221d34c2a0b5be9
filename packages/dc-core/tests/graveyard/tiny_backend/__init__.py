"""The good backend; its plugin is imported when it is needed."""
