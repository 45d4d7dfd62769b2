"""What Wardian serves to other programs."""
