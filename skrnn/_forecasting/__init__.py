"""Forecasting: what the forecaster is made of, from the clock of an index to the guard."""
