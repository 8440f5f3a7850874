"""Naming the mistake: the textbook's LSTM in pieces, a library of mistakes, and the search for those that were made."""
