"""
A forecast with intervals
=========================

The airline passengers of 1949 to 1960, in months. The last two years are kept back, forecast, and
compared with what happened.
"""

# %%
# The series grows, and its season grows with it. Nothing has to be said about either: the frequency
# of the index gives the length of the season, and a series that changes by shares is modelled as
# logarithms.
import matplotlib.pyplot as plt
from sktime.datasets import load_airline

from skrnn import RNNForecaster

passengers = load_airline()
past, truth = passengers[:-24], passengers[-24:]
forecaster = RNNForecaster(random_state=0)
forecaster.fit(past, fh=range(1, 25))
forecast = forecaster.predict()
interval = forecaster.predict_interval(coverage=[0.8, 0.95])
print(interval.head(3).round(1))

# %%
# On the end of the series, before the part kept back here, the network was compared with simpler
# forecasts: the Theta method, and the seasonal naive forecast, which repeats the last year. The
# forecast is a blend of them, with the weights that did best there. Errors are scaled: 1 is as far
# off as one year is from the next.
guard = forecaster.guard_
print("weights:", guard.weights)
print("errors: ", {name: round(error, 2) for name, error in guard.errors.items()})

# %%
# What happened. Ten years hold few stretches of two years to calibrate intervals on, so that these
# are no more than an orientation.
figure, axis = plt.subplots(figsize=(8, 4), layout="constrained")
shown = passengers["1956":]
months = forecast.index.to_timestamp()
axis.plot(shown.index.to_timestamp(), shown, "k", label="passengers")
for coverage in (0.95, 0.8):
    bounds = interval.xs(coverage, axis=1, level=1).to_numpy().T
    axis.fill_between(months, *bounds, color="C0", alpha=0.25, label=f"{coverage:.0%} interval")
axis.plot(months, forecast, "C0", label="forecast")
axis.set(ylabel="thousands", title="Airline passengers")
axis.legend(loc="upper left")
plt.show()

for coverage in (0.8, 0.95):
    lower, upper = interval.xs(coverage, axis=1, level=1).to_numpy().T
    inside = ((lower <= truth) & (truth <= upper)).sum()
    print(f"months inside the {coverage:.0%} interval: {inside} of {len(truth)}")

# %%
# Mean absolute percentage errors, of each year kept back. The seasonal naive forecast repeats 1958.
naive = past[-12:].to_numpy()
for year, months in [("1959", slice(0, 12)), ("1960", slice(12, 24))]:
    ours = (abs(forecast - truth) / truth)[months].mean()
    theirs = (abs(naive - truth[months]) / truth[months]).mean()
    print(f"{year}: forecast {ours:.1%}, seasonal naive {theirs:.1%}")
