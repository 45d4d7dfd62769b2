"""What is replaced before anything is sent, written or shown, and what a secret is."""
