"""
Intervals around a predicted number
===================================

A regressor with ``loss="quantile"`` predicts several quantiles of the target at once. From them it
builds intervals, widened or narrowed on sequences kept out of the training so that they cover as
often as asked.
"""

# %%
# Each sequence is a walk with a drift of its own, seen for 10 to 25 steps. The target is where the
# walk will stand ten steps later. Walks have small or large steps, so some targets are much less
# certain.
import matplotlib.pyplot as plt
import numpy as np

from skrnn import RNNRegressor

rng = np.random.default_rng(0)
HORIZON = 10


def walk():
    n_timesteps = rng.integers(10, 26)
    drift, spread = rng.normal(0, 0.3), rng.choice([0.2, 1.0])
    steps = drift + spread * rng.normal(size=n_timesteps + HORIZON)
    position = np.cumsum(steps)
    seen = position[:n_timesteps] - position[n_timesteps - 1]  # relative to the last step seen
    return np.column_stack([seen, steps[:n_timesteps]]), position[-1] - position[n_timesteps - 1]


X, y = map(list, zip(*[walk() for _ in range(1300)], strict=True))
y = np.array(y)
X_train, y_train, X_test, y_test = X[:1000], y[:1000], X[1000:], y[1000:]

# %%
# Fit, and ask for intervals that should hold 80 % of the targets.
regressor = RNNRegressor(
    loss="quantile",
    hidden_size=16,
    max_epochs=20,
    early_stopping=True,
    validation_fraction=0.25,
    random_state=0,
)
regressor.fit(X_train, y_train)
predicted = regressor.predict(X_test)
lower, upper = regressor.predict_interval(X_test, coverage=0.8).T

covered = (lower <= y_test) & (y_test <= upper)
print(f"R2: {regressor.score(X_test, y_test):.2f}")
print(f"asked to cover 80 %, covers {covered.mean():.0%}")

# %%
# The intervals are wide where the sequence says that the walk is wild, and narrow where it is calm.
wild = np.array([x[:, 1].std() > 0.6 for x in X_test])
print(f"mean width, calm walks: {np.mean((upper - lower)[~wild]):.1f}")
print(f"mean width, wild walks: {np.mean((upper - lower)[wild]):.1f}")

figure, axis = plt.subplots(layout="constrained")
order = np.argsort(predicted)
for name, group in [("calm", ~wild), ("wild", wild)]:
    shown = order[group[order]][::4]
    axis.plot(
        predicted[shown],
        y_test[shown],
        "o",
        markersize=4,
        label=f"{name}: target",
    )
    axis.vlines(predicted[shown], lower[shown], upper[shown], alpha=0.3)
axis.set(xlabel="predicted median", ylabel="target and 80 % interval")
axis.legend()
plt.show()

# %%
# Any quantile can be asked for; they never cross.
quantiles = regressor.predict_quantiles(X_test[:3], alpha=[0.05, 0.25, 0.5, 0.75, 0.95])
print(np.round(quantiles, 2))
