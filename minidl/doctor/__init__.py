"""The doctor: what is wrong with a training whose code is right, and what is kept of the moment it went wrong."""
