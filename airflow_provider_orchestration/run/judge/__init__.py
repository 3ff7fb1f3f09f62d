"""What an instance is: read whole, judged, and what of it a task tells."""
