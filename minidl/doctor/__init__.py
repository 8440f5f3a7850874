"""The doctor of trainings: what is wrong with the data, the loss, or the run, and what to do about it."""
