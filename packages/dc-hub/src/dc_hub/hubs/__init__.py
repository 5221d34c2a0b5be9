"""Where models live under names: references, hubs, staging and pins."""
