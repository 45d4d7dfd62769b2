"""What runs in a limited process: libraries that other people's text can hang or mislead."""
