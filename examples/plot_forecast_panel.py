"""
Many series with covariates
===========================

Sixty shops sell ice cream. One network learns from all of them: from their own past, from
promotions that are planned, from the weather up to today, and from where the shop is.
"""

# %%
# The shops opened on different days, so their series differ in length. Promotions are known for the
# days to come, the temperature is not, and the place of a shop never changes. A promotion works
# twice as well in the city.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from skrnn import RNNForecaster

rng = np.random.default_rng(0)
HORIZON = 14
days = pd.date_range("2025-03-01", periods=200, freq="D")
warmth = 18 + 8 * np.sin(np.arange(200) / 200 * np.pi)


def shop(number):
    day = days[-rng.integers(100, 201) :]
    n_days, level = len(day), rng.uniform(50, 500)
    place = "city" if number % 2 else "village"
    # Warm and cool spells last some days.
    weather = warmth[-n_days:] + np.convolve(rng.normal(size=n_days + 4), np.ones(5) / 2)[4:-4]
    promotion = rng.random(n_days) < 0.15
    effect = 1 + (0.6 if place == "city" else 0.3) * promotion
    week = 1 + 0.25 * (day.dayofweek >= 5)
    sales = level * week * effect * (weather / 20) * rng.normal(1, 0.06, n_days)
    return pd.DataFrame(
        {
            "shop": f"shop {number:02}",
            "day": day,
            "sales": sales,
            "promotion": promotion,
            "temperature": weather,
            "place": place,
        }
    )


data = pd.concat([shop(i) for i in range(60)]).set_index(["shop", "day"])
print(data.groupby(level="shop").size().describe()[["count", "min", "max"]])

# %%
# Keep the last two weeks of every shop back. The guard is off: it would mix in simpler forecasts,
# which know nothing of promotions.
is_last = data.index.get_level_values("day") > days[-HORIZON - 1]
past, ahead = data[~is_last], data[is_last]
covariates = ["promotion", "temperature", "place"]

forecaster = RNNForecaster(
    past_covariates=["temperature"],
    static_covariates=["place"],
    hidden_size=32,
    max_epochs=15,
    guard="off",
    random_state=0,
)
forecaster.fit(past[["sales"]], past[covariates], fh=range(1, HORIZON + 1))

# %%
# A forecast needs the promotions of the days to come, and nothing else. ``future_frame`` tells
# which rows and columns that are.
future = forecaster.future_frame()
future["promotion"] = ahead["promotion"]
print(future.head(3))
forecast = forecaster.predict(X=future)
interval = forecaster.predict_interval(X=future, coverage=0.8)["sales", 0.8]

# %%
# Beside the same network without covariates, and the week before repeated.
plain = RNNForecaster(hidden_size=32, max_epochs=15, guard="off", random_state=0)
without = plain.fit(past[["sales"]], fh=range(1, HORIZON + 1)).predict()
last_week = past["sales"].groupby(level="shop").tail(7).to_numpy().reshape(60, 7)
naive = np.tile(last_week, 2).reshape(-1, 1)
truth = ahead[["sales"]]
for name, guess in [("covariates", forecast), ("without", without), ("last week", naive)]:
    error = (abs(guess - truth) / truth).to_numpy().mean()
    print(f"{name:>10}: mean absolute percentage error {error:.1%}")
inside = (interval["lower"] <= truth["sales"]) & (truth["sales"] <= interval["upper"])
print(f"inside the 80 % intervals: {inside.mean():.0%}")

# %%
# Two of the shops. Dots mark the days with a promotion.
figure, axes = plt.subplots(nrows=2, figsize=(8, 6), sharex=True, layout="constrained")
for axis, name in zip(axes, ["shop 00", "shop 01"], strict=True):
    shown = data.loc[name][-6 * 7 :]
    axis.plot(shown["sales"], "k", label="sales")
    axis.plot(shown["sales"][shown["promotion"]], "ko", markersize=4)
    axis.plot(forecast.loc[name], "C0", label="forecast")
    bounds = interval.loc[name]
    axis.fill_between(bounds.index, bounds["lower"], bounds["upper"], color="C0", alpha=0.25)
    axis.set(title=f"{name}, {shown['place'].iloc[0]}", ylabel="sales")
axes[1].legend(loc="upper right")
figure.autofmt_xdate()
plt.show()

# %%
# What would a promotion on every day bring? The known covariates can be changed, and the forecast
# asked again. The data were made with 60 % more in the city and 30 % in the village.
always, never = future.assign(promotion=True), future.assign(promotion=False)
gain = forecaster.predict(X=always) / forecaster.predict(X=never) - 1
in_city = np.array([int(name[-2:]) % 2 == 1 for name, _ in gain.index])
print(f"city: {gain[in_city].to_numpy().mean():+.0%}", end=", ")
print(f"village: {gain[~in_city].to_numpy().mean():+.0%}")
