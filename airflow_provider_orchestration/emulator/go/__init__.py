"""What the real server owes to Go: decoding, numbers, times, and the texts of its errors."""
