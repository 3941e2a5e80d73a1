"""What each construct of the language costs, in instructions."""
