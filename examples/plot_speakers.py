"""
Who speaks? Errors and learning curves
======================================

Nine men say the same vowels, and a classifier tells who it was. Which speakers does it take for
each other, when did it stop learning, and would more recordings help?
"""

# %%
# sktime ships the recordings: 270 to learn from and 370 to test on, of 7 to 29 steps with 12
# numbers that describe the sound.
import matplotlib.pyplot as plt
import numpy as np
from sktime.datasets import load_japanese_vowels

from skrnn import RNNClassifier

X_train, y_train = load_japanese_vowels(split="train", return_type="df-list")
X_test, y_test = load_japanese_vowels(split="test", return_type="df-list")
print(len(X_train), "and", len(X_test), "recordings, the first of shape", X_train[0].shape)

# %%
# A validation part shows how the training went: ``history_`` has its loss beside that of the
# training part after every epoch.
classifier = RNNClassifier(hidden_size=32, max_epochs=30, early_stopping=True, random_state=0)
classifier.fit(X_train, y_train)
print(f"test accuracy: {classifier.score(X_test, y_test):.3f}")

history = classifier.history_
figure, axis = plt.subplots(layout="constrained")
for name, label in [("train_loss", "training part"), ("valid_loss", "validation part")]:
    axis.semilogy([row["epoch"] for row in history], [row[name] for row in history], label=label)
axis.set(xlabel="epoch", ylabel="loss", title="Both losses fall, and then only one")
axis.legend()
plt.show()

# %%
# The confusion matrix of scikit-learn takes the fitted classifier and the recordings as they are.
from sklearn.metrics import ConfusionMatrixDisplay

display = ConfusionMatrixDisplay.from_estimator(classifier, X_test, y_test, colorbar=False)
display.ax_.set(xlabel="said to be speaker", ylabel="speaker", title="Errors on the test part")
plt.show()

# %%
# So does its learning curve: the same classifier with more and more of the recordings, tested on
# others by cross-validation. As the gap between the lines closes, there is less to gain from more.
from sklearn.model_selection import StratifiedKFold, learning_curve

quick = RNNClassifier(hidden_size=32, max_epochs=15, random_state=0)
sizes, train_scores, test_scores = learning_curve(
    quick,
    np.array([x.to_numpy() for x in X_train] + [None], dtype=object)[:-1],
    y_train,
    train_sizes=[0.2, 0.4, 0.7, 1.0],
    cv=StratifiedKFold(3, shuffle=True, random_state=0),
    shuffle=True,
    random_state=0,
)
figure, axis = plt.subplots(layout="constrained")
for scores, label in [(train_scores, "learned from"), (test_scores, "not seen")]:
    axis.errorbar(
        sizes, scores.mean(axis=1), scores.std(axis=1), marker="o", capsize=3, label=label
    )
axis.set(xlabel="recordings in training", ylabel="accuracy", title="More recordings still help")
axis.legend()
plt.show()
