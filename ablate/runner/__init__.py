"""What a run has to do, and does: studies, trials, seeds, and what is asked of finished cells."""
